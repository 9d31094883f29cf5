"""What a group in NHN Cloud needs besides: how its instances leave the load balancer, which nobody
there tells of their end."""

from dataclasses import dataclass
from typing import Annotated

from photo_fleet.spec.kinds import Address, Text
from photo_fleet.spec.store import Keystone, Project, User

PoolId = Annotated[str, Text("[A-Za-z0-9-]{0,64}", "522a5681-fc4c-4b0b-85ec-bf7777c48a57")]

LEAVES_WITHIN = 20.0
"""Seconds that an instance gets to leave its load balancer before it is told to end, from the start
of the program that leaves to its end, whatever holds it up."""

STARTS_IN = 2.0
"""Of these, until that program runs."""

FAILED_AFTER = 180.0
"""Seconds without metrics after which Auto Scale replaces an instance ("Console Guide": auto
healing)."""


@dataclass(frozen=True, slots=True)
class Nhn:
    """Where an instance changes its own member, and as whom. What is empty is set on the machine;
    the user's password is a secret."""

    network: Address = ""
    """Of the network API, such as https://kr1-api-network-infrastructure.nhncloudservice.com."""
    pool: PoolId = ""
    """The member group's id."""
    auth: Keystone = "https://api-identity-infrastructure.nhncloudservice.com/v2.0"
    user: User = ""
    project: Project = ""
    """Its id, which the console calls tenant."""
