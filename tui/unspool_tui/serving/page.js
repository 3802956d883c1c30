// What the page does beside the terminal that textual.js draws: a font size that fits, focus, keys for fingers, and
// words when the connection ends.
"use strict";
(() => {
  const CELL_OF_FONT = 0.6; // width of a Roboto Mono cell, in parts of the font size
  const LEAST_COLUMNS = 60; // what the narrow layout needs
  const LARGEST = 16;
  const SMALLEST = 8;
  const KEYS = {
    escape: "\x1b", tab: "\t", enter: "\r",
    up: "\x1b[A", down: "\x1b[B", right: "\x1b[C", left: "\x1b[D",
  };
  const touch = matchMedia("(pointer: coarse)").matches;
  let socket = null;
  let over = false;

  const end = (code, reason) => {
    if (over) return;
    over = true;
    const why = reason || (code === 1006 ? "the connection was lost" : "the connection was closed");
    document.getElementById("why").textContent = `${why[0].toUpperCase()}${why.slice(1)}.`;
    document.getElementById("over").hidden = false;
    document.body.classList.add("over");
    document.getElementById("again").focus();
  };

  // Where a browser only acts as if its screen were finer, what it says of device pixels contradicts devicePixelRatio;
  // without it, the terminal trusts the latter.
  if (window.ResizeObserverEntry) delete ResizeObserverEntry.prototype.devicePixelContentBoxSize;

  // textual.js keeps its socket to itself.
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...words) {
      super(...words);
      socket = this;
      this.addEventListener("close", (event) => end(event.code, event.reason));
    }
    send(data) {
      if (this.readyState === Native.OPEN) super.send(data);
    }
  };

  const fontSize = () => {
    const asked = parseFloat(new URLSearchParams(location.search).get("fontsize"));
    if (asked >= 4 && asked <= 96) return asked;
    const fits = Math.floor((2 * document.documentElement.clientWidth) / (LEAST_COLUMNS * CELL_OF_FONT)) / 2;
    return Math.max(SMALLEST, Math.min(LARGEST, fits));
  };

  const focus = () => document.querySelector(".xterm-helper-textarea")?.focus({ preventScroll: true });

  const press = (key) => {
    if (socket) socket.send(JSON.stringify(["stdin", KEYS[key] ?? key]));
  };

  const begin = async (start) => {
    const terminal = document.getElementById("terminal");
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = "";
    terminal.dataset.sessionWebsocketUrl = address.href;
    terminal.dataset.fontSize = fontSize();
    // The terminal measures its cells once; the font must be there by then.
    await Promise.allSettled([document.fonts.load('16px "Roboto Mono"'), document.fonts.load('bold 16px "Roboto Mono"')]);
    start();
    if (!touch) focus();
    window.addEventListener("focus", () => { if (!touch && !over) focus(); });
    for (const button of document.querySelectorAll("#keys button")) {
      button.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        if ("keyboard" in button.dataset) focus();
        else press(button.dataset.key);
      });
      button.addEventListener("click", (event) => {
        // A keyboard or a screen reader pressed it; a pointer did so before.
        if (event.detail === 0 && !("keyboard" in button.dataset)) press(button.dataset.key);
      });
    }
    document.getElementById("again").addEventListener("click", () => location.reload());
  };

  const start = window.onload;
  window.onload = null;
  window.addEventListener("load", (event) => begin(() => start.call(window, event)));
})();
