"""The lines of a month."""

from photo_fleet.report.item import Item

ITEMS: tuple[Item, ...] = ()
