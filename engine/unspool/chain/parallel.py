"""Every state of several chains, side by side in worker processes where that pays (row N-72).

Within a chain each state is one delta away from the one before, so a chain is never split: one walk gives all its
states. Chains do not depend on each other and can be walked side by side. Threads would wait for one another at the
interpreter's lock; processes cost their start and the way of the states back. So the work is estimated first: only
ops inside large atoms, which are decoded and encoded anew at each step, are dear enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from unspool.chain.delta_chain import DeltaChain
from unspool.chain.walk import ChainWalk
from unspool.delta.packing import pack, unpack_delta, unpack_full
from unspool.model.snapshots import Snapshot

_START_SECONDS: Final = 0.5
"""What starting worker processes takes, imports included."""
_SECONDS_PER_BYTE_REBUILT: Final = 6e-9
"""Laying ops on an atom and encoding it again, measured on lists of records."""
_SECONDS_PER_BYTE_RETURNED: Final = 1.5e-9
"""Sending a state back from a worker and cutting it up again."""


def chain_states(chain: DeltaChain) -> list[Snapshot]:
    """Return every state of a chain, the base first.

    Raises:
        BaseMismatch, ContradictoryDelta: a delta does not fit.
    """
    walk = ChainWalk(chain.base)
    states = [chain.base]
    for delta in chain.deltas:
        walk.step(delta)
        states.append(walk.snapshot())
    return states


def states_of_chains(
    chains: Sequence[DeltaChain], *, workers: int = 1, executor: Executor | None = None
) -> list[list[Snapshot]]:
    """Return every state of every chain, in order.

    Args:
        chains: the chains.
        workers: processes to use where that pays. Starting them imports the caller's main module anew, so a script
            that asks for more than one must keep its own work under `if __name__ == "__main__"`.
        executor: where to walk the chains; given one, it is used without asking whether that pays.

    Raises:
        BaseMismatch, ContradictoryDelta: a delta does not fit.
    """
    if executor is not None:
        return _walked_by(executor, chains)
    count = min(workers, len(chains))
    if not pays(chains, count):
        return [chain_states(chain) for chain in chains]
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return _walked_by(pool, chains)


def pays(chains: Sequence[DeltaChain], workers: int) -> bool:
    """Say whether walking chains in worker processes is quicker than walking them here."""
    if workers < 2:
        return False
    rebuilt = sum(map(_bytes_rebuilt, chains))
    returned = sum(chain.full_bytes * (chain.length + 1) for chain in chains)
    saved = rebuilt * _SECONDS_PER_BYTE_REBUILT * (1 - 1 / workers)
    return saved > _START_SECONDS + returned * _SECONDS_PER_BYTE_RETURNED


def _bytes_rebuilt(chain: DeltaChain) -> int:
    sizes = {name: len(entry.encoded) for name, entry in chain.base.state.items()}
    total = 0
    for delta in chain.deltas:
        for name, change in delta.changes.items():
            if change.new is not None and change.new.encoded:
                sizes[name] = len(change.new.encoded)
            elif change.packed_ops:
                total += sizes.get(name, 0)
    return total


def _walked_by(executor: Executor, chains: Sequence[DeltaChain]) -> list[list[Snapshot]]:
    jobs = [
        executor.submit(_walk_packed, pack(chain.base), [pack(delta) for delta in chain.deltas]) for chain in chains
    ]
    return [[unpack_full(state) for state in job.result()] for job in jobs]


def _walk_packed(base: bytes, deltas: list[bytes]) -> list[bytes]:
    chain = DeltaChain(unpack_full(base), tuple(map(unpack_delta, deltas)))
    return [pack(state) for state in chain_states(chain)]
