// Stands in for the Redux DevTools extension: whatever would tell it of a store (Redux, Redux Toolkit, zustand, NgRx,
// jotai, MobX) tells `unspool listen`. Nothing here raises into the app, and what cannot be sent is counted.
((scope) => {
  const ADDRESS = "@ADDRESS@", MOST = 16 << 20, SET = "@@unspool/SET", stores = new Map();
  let socket, waiting = [], size = 0;
  const flush = () => {
    while (waiting.length && socket?.readyState === 1) { const text = waiting.shift(); size -= text.length; socket.send(text); }
  };
  const send = (store, message) => {
    let text;
    const facts = { instanceId: store.id, name: store.name, kind: store.kind, missed: store.missed, passed: store.passed, sanitized: store.isSanitized };
    try {
      text = JSON.stringify({ ...message, ...facts });
    } catch (error) {
      text = JSON.stringify({ ...facts, type: message.type, request: message.request, unsent: String(error) });
    }
    const held = size + (socket?.bufferedAmount ?? 0);
    if (held && held + text.length > MOST) { store.missed += 1; return; }
    store.missed = store.passed = 0;
    waiting.push(text); size += text.length;
    flush();
  };
  const hear = (text) => {
    const message = JSON.parse(text), store = stores.get(message.instanceId);
    if (!store) return;
    let answer;
    try { answer = store.hear(message); } catch (error) { answer = { error: String(error) }; }
    if (message.request) send(store, { type: "DONE", request: message.request, ...answer });
  };
  const open = async () => {
    try {
      const Socket = scope.WebSocket ?? (await import("ws")).default;
      socket = new Socket(ADDRESS);
      socket.onopen = () => { socket._socket?.unref(); flush(); };
      socket.onmessage = (event) => hear(String(event.data));
      socket.onerror = () => {};
      socket.onclose = () => { const timer = setTimeout(open, 2000); timer.unref?.(); };
    } catch (error) {
      console.warn("unspool: no WebSocket here; install ws, or use Node 22:", String(error));
    }
  };
  const begin = (options, kind) => {
    const id = Math.random().toString(36).slice(2) + Date.now().toString(36);
    const store = { id, kind, name: options.name ?? scope.document?.title ?? "", missed: 0, passed: 0, count: 0, isPaused: false, isSanitized: Boolean(options.stateSanitizer) };
    stores.set(id, store);
    const matches = (patterns, type) => [patterns ?? []].flat().some((pattern) => new RegExp(pattern).test(type));
    const stack = (action) => {
      if (typeof options.trace === "function") return options.trace(action);
      if (options.trace === false) return undefined;
      const limit = Error.stackTraceLimit;
      Error.stackTraceLimit = Math.max(25, options.traceLimit ?? 0);
      const lines = (new Error().stack ?? "").slice(0, 8000).split("\n");
      Error.stackTraceLimit = limit;
      // The first three frames are these functions.
      return lines.slice(lines[0].startsWith("Error") ? 4 : 3).join("\n");
    };
    const plain = (value) => {
      const replacer = options.serialize?.replacer ?? options.serializeState;
      return typeof replacer === "function" ? { text: JSON.stringify(value, replacer) } : { value };
    };
    store.tell = (type, action, state, facts) => {
      try {
        if (store.isPaused) { store.passed += 1; return; }
        const kind = String(action?.type ?? "");
        if (type === "ACTION" && (options.predicate && !options.predicate(state, action)
          || matches(options.actionsDenylist ?? options.actionsBlacklist, kind)
          || (options.actionsAllowlist ?? options.actionsWhitelist) && !matches(options.actionsAllowlist ?? options.actionsWhitelist, kind))) return;
        const number = store.count++, shown = options.actionSanitizer && action ? options.actionSanitizer(action, number) : action;
        const kept = options.stateSanitizer ? options.stateSanitizer(state, number) : state;
        send(store, { type, action: shown, state: plain(kept), timestamp: Date.now(), stack: stack(action), ...facts });
      } catch (error) { send(store, { type, unsent: String(error) }); }
    };
    return store;
  };
  const connect = (options = {}) => {
    const store = begin(options, "connect"), listeners = new Set();
    store.hear = (message) => {
      if (message.type === "PAUSE") store.isPaused = message.status;
      else for (const listener of listeners) listener(message);
      return { heard: listeners.size };
    };
    return {
      init: (state) => store.tell("INIT", undefined, state),
      send: (action, state) => action === null ? send(store, { type: "STATE", lifted: state })
        : store.tell("ACTION", typeof action === "string" ? { type: action } : action, state),
      subscribe: (listener) => {
        listeners.add(listener);
        Promise.resolve().then(() => listener({ type: "START" })).catch(() => {});
        return () => listeners.delete(listener);
      },
      unsubscribe: () => listeners.clear(),
      error: (words) => send(store, { type: "ERROR", words: String(words) }),
    };
  };
  const enhance = (options = {}) => (next) => (given, preloaded) => {
    const store = begin(options, "reducer");
    let reducer = given;
    const traced = (state, action) => {
      if (action.type === SET) return action.state;
      let after;
      try { after = reducer(state, action); } catch (error) { store.tell("ACTION", action, state, { error: String(error) }); throw error; }
      store.tell(/^@@redux\/INIT/.test(action.type) ? "INIT" : "ACTION", action, after);
      return after;
    };
    const revived = (text) => JSON.parse(text, options.serialize?.reviver);
    const inner = next(traced, preloaded), put = (state) => inner.dispatch({ type: SET, state });
    store.hear = (message) => {
      if (message.type === "PAUSE") store.isPaused = message.status;
      else if (message.type === "PERFORM") inner.dispatch(message.action);
      else if (message.type === "REPLAY") {
        let state = revived(message.state);
        for (const { action, skipped } of message.actions) {
          if (!skipped) state = reducer(state, action);
          store.tell("ACTION", action, state, { skipped });
        }
        put(state);
      } else if (message.state !== undefined) put(revived(message.state));
      return { state: { value: inner.getState() } };
    };
    return { ...inner, replaceReducer: (other) => { reducer = other; inner.replaceReducer(traced); } };
  };
  const compose = (...functions) => (start) => functions.reduceRight((made, each) => each(made), start);
  scope.__REDUX_DEVTOOLS_EXTENSION__ = Object.assign(enhance, { connect, disconnect() {}, open() {}, listen() {}, send() {} });
  scope.__REDUX_DEVTOOLS_EXTENSION_COMPOSE__ = (...given) => {
    const hasOptions = typeof given[0] === "object";
    const withStore = (options, functions) => compose(...functions, enhance(options));
    return hasOptions ? (...functions) => withStore(given[0], functions) : withStore({}, given);
  };
  // Libraries look for the extension on `window`; Node has none.
  scope.window ??= scope;
  open();
})(globalThis);
