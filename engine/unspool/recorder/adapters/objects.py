"""Objects of classes that nobody made an adapter for are kept by their fields, as they are stored."""

from __future__ import annotations

import sys

from unspool.model.recipes import Recipe, module_name, object_content, stored_reader, tagged


def find_object(kind: type) -> Recipe | None:
    """Return the recipe of a class of the app's own, or of a library's; None for one whose objects are no data.

    Classes of the standard library that hold fields are services (threads, sockets, locks, tasks): following them
    leads into the machinery of the program.
    """
    module = module_name(kind).partition(".")[0]
    if module == __name__.partition(".")[0]:
        # An app's object often holds its recorder, which leads to the bytes of all that the state was before.
        return tagged(kind, lambda _: None)
    if module in sys.stdlib_module_names and module != "__main__":
        return None
    return None if stored_reader(kind) is None else tagged(kind, object_content(kind))
