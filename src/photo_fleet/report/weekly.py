"""The lines of a week."""

from photo_fleet.report.item import Item

ITEMS: tuple[Item, ...] = ()
