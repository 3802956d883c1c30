"""All campaigns, by name."""

from __future__ import annotations

from torture.agents import AgentFaults, Oracle
from torture.campaign import Campaign
from torture.damage import Cuts, FirstCuts, FirstFlips, FirstLiveFlips, Flips, LiveFlips, Rows
from torture.databases import Databases
from torture.exhaustion import Exhaustion
from torture.faults import Faults
from torture.kills import Kills
from torture.power import Power
from torture.readers import HostileGit, Readers
from torture.reentry import Reentry
from torture.web import Web

CAMPAIGNS: dict[str, type[Campaign]] = {
    one.name: one
    for one in (
        Flips,
        Cuts,
        FirstFlips,
        FirstCuts,
        LiveFlips,
        FirstLiveFlips,
        Rows,
        Power,
        Faults,
        Kills,
        Exhaustion,
        Reentry,
        Readers,
        HostileGit,
        Databases,
        Web,
        Oracle,
        AgentFaults,
    )
}
