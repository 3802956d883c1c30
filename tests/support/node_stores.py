"""Real stores in Node that add numbers when they are told to, beside packages of npm."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.listening import LIMIT_S
from support.node_packages import node_packages
from unspool.live.listen import Listening

DRIVER = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "state") act(JSON.parse(line));
  console.log("=" + JSON.stringify(state()));
}
process.exit(0);
"""
REDUCER = """
const reducer = (state = { n: 0, log: [] }, action) =>
  action.type === "cart/add" ? { ...state, n: state.n + action.payload, log: [...state.log, action.payload] } : state;
"""
REDUX = (
    """
import { createStore } from "redux";
import { devToolsEnhancer } from "@redux-devtools/remote";
"""
    + REDUCER
    + """
const store = createStore(reducer, devToolsEnhancer({ name: "cart", realtime: true, port: PORT, maxAge: 5, trace: true }));
const act = (by) => store.dispatch({ type: "cart/add", payload: by }), state = () => store.getState();
"""
)
ELDER = (
    """
import { createStore } from "redux4";
import elder from "remote-redux-devtools";
"""
    + REDUCER
    + """
const store = createStore(reducer, elder.default({ name: "cart", realtime: true, hostname: "localhost", port: PORT }));
const act = (by) => store.dispatch({ type: "cart/add", payload: by }), state = () => store.getState();
"""
)
SLICE = """
import { configureStore, createSlice } from "@reduxjs/toolkit";
const slice = createSlice({ name: "cart", initialState: { n: 0, log: [] },
  reducers: { add: (state, action) => { state.n += action.payload; state.log.push(action.payload); } } });
"""
TOOLKIT = (
    SLICE
    + """
import { devToolsEnhancer } from "@redux-devtools/remote";
const store = configureStore({ reducer: slice.reducer, devTools: false,
  enhancers: (given) => given().concat(devToolsEnhancer({ name: "cart", realtime: true, port: PORT })) });
const act = (by) => store.dispatch(slice.actions.add(by)), state = () => store.getState();
"""
)
TOOLKIT_BY_SCRIPT = (
    SLICE
    + """
const store = configureStore({ reducer: slice.reducer, devTools: { name: "cart" } });
const act = (by) => store.dispatch(slice.actions.add(by)), state = () => store.getState();
"""
)
ZUSTAND_BY_SCRIPT = """
import { createStore } from "zustand/vanilla";
import { devtools } from "zustand/middleware";
const store = createStore(devtools((set) => ({ n: 0, log: [],
  add: (by) => set((state) => ({ n: state.n + by, log: [...state.log, by] }), undefined, { type: "cart/add", payload: by }) }), { name: "cart" }));
const act = (by) => store.getState().add(by), state = () => store.getState();
"""
VALTIO_BY_SCRIPT = """
import { proxy } from "valtio/vanilla";
import { devtools } from "valtio/vanilla/utils";
const store = proxy({ n: 0, log: [] });
devtools(store, { name: "cart", enabled: true });
const act = (by) => { store.n += by; store.log = [...store.log, by]; }, state = () => ({ n: store.n, log: [...store.log] });
"""
JOTAI_BY_SCRIPT = """
import { createElement } from "react";
import renderer from "react-test-renderer";
import { atom, createStore, Provider } from "jotai";
import { useAtomDevtools } from "jotai-devtools/utils";
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
console.error = () => {};
const cart = atom({ n: 0, log: [] }), store = createStore();
function Cart() { useAtomDevtools(cart, { store, name: "cart", enabled: true }); return null; }
await renderer.act(async () => { renderer.create(createElement(Provider, { store }, createElement(Cart))); });
const act = (by) => renderer.act(() => store.set(cart, (now) => ({ n: now.n + by, log: [...now.log, by] })));
const state = () => store.get(cart);
"""
MOBX_BY_SCRIPT = """
import { Model, connectReduxDevTools, decoratedModel, modelAction, tProp, types } from "mobx-keystone";
import remotedev from "remotedev";
const Fields = Model({ n: tProp(types.number, 0), log: tProp(types.array(types.number), () => []) });
const Cart = decoratedModel("shop/Cart", class extends Fields { add(by) { this.n += by; this.log.push(by); } }, { add: modelAction });
const store = new Cart({});
connectReduxDevTools(remotedev, remotedev.connectViaExtension({ name: "cart" }), store);
const act = (by) => store.add(by), state = () => ({ n: store.n, log: [...store.log] });
"""
STORES = {
    "redux": REDUX,
    "redux by the elder client": ELDER,
    "toolkit": TOOLKIT,
    "toolkit by the script": TOOLKIT_BY_SCRIPT,
    "zustand by the script": ZUSTAND_BY_SCRIPT,
    "valtio by the script": VALTIO_BY_SCRIPT,
    "jotai by the script": JOTAI_BY_SCRIPT,
    "mobx by the script": MOBX_BY_SCRIPT,
}
NAMING_ACTIONS = {kind for kind, source in STORES.items() if "cart/add" in source or "createSlice" in source}
"""Stores whose actions have the names that the program gives them."""
WITH_REDUCER = {kind for kind in STORES if kind.startswith(("redux", "toolkit"))}
"""Stores that can work a state out anew without an action."""


class NodeApp:
    """A program in Node that adds numbers in its store when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, line: str) -> Any:
        """Send a line, and return the state that it answers with."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        for text in self._process.stdout:
            if text.startswith("="):
                return json.loads(text[1:])
        raise AssertionError("the program ended")

    @property
    def n(self) -> int:
        """The number in the store."""
        return int(self.tell("state")["n"])

    def add(self, by: int) -> None:
        """Have the store add a number."""
        self.tell(json.dumps(by))


@contextmanager
def running(tmp_path: Path, place: Listening, source: str) -> Iterator[NodeApp]:
    """Run a program in Node beside the packages."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "node_modules").symlink_to(node_packages() / "node_modules")
    program = folder / "app.mjs"
    program.write_text(source.replace("PORT", str(place.port)) + DRIVER)
    words = ["node"]
    if "@redux-devtools" not in source and "elder" not in source:
        with urllib.request.urlopen(place.script) as answer:  # the address is our own
            (folder / "unspool-shim.mjs").write_bytes(answer.read())
        words += ["--import", "./unspool-shim.mjs"]
    process = subprocess.Popen(
        [*words, str(program)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield NodeApp(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(LIMIT_S)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
