"""What is always looked at, whatever the complaint is."""

from photo_fleet.doctor import ages, exposure, work

RULES = (*exposure.RULES, *work.RULES, *ages.RULES)
