// A shop in Redux with a mistake in it: goods get lost, though nobody took them.
//
//   unspool listen recordings                      in one terminal
//   npm install --no-package-lock && npm start     in another, here
//   unspool open recordings/shop.unspool           and look; docs/live.md finds the mistake
//
// SHOP_STEPS=200 SHOP_GAP_MS=5 ends after so many steps; SHOP_PORT is where unspool listens, 8000 unless told.
import { combineReducers, createStore } from "redux";
import { devToolsEnhancer } from "@redux-devtools/remote";

const GOODS = ["tea", "cup", "pot"];
const all = (count) => Object.fromEntries(GOODS.map((item) => [item, count]));
const plus = (counts, item, by) => ({ ...counts, [item]: counts[item] + by });

function stock(counts = all(20), action) {
  switch (action.type) {
    case "cart/added":
      return plus(counts, action.item, -action.count);
    case "cart/removed":
      return plus(counts, action.item, 1); // wrong
    case "stock/delivered":
      return plus(counts, action.item, action.count);
  }
  return counts;
}

function cart(counts = all(0), action) {
  switch (action.type) {
    case "cart/added":
      return plus(counts, action.item, action.count);
    case "cart/removed":
      return { ...counts, [action.item]: 0 };
    case "order/placed":
      return all(0);
  }
  return counts;
}

function sold(counts = all(0), action) {
  if (action.type !== "order/placed") return counts;
  return GOODS.reduce((result, item) => plus(result, item, action.cart[item]), counts);
}

function delivered(counts = all(20), action) {
  return action.type === "stock/delivered" ? plus(counts, action.item, action.count) : counts;
}

const store = createStore(
  combineReducers({ stock, cart, sold, delivered }),
  devToolsEnhancer({ name: "shop", realtime: true, port: Number(process.env.SHOP_PORT ?? 8000), trace: true }),
);

// The same day each time.
let seed = 7;
const dice = (sides) => (seed = (seed * 48271) % 2147483647) % sides;

function customer() {
  const item = GOODS[dice(3)], state = store.getState();
  if (state.stock[item] < 5) return store.dispatch({ type: "stock/delivered", item, count: 10 });
  if (dice(10) < 6) return store.dispatch({ type: "cart/added", item, count: 1 + (state.cart[item] ? 0 : dice(3)) });
  if (dice(10) < 4 && state.cart[item]) return store.dispatch({ type: "cart/removed", item });
  return store.dispatch({ type: "order/placed", cart: state.cart });
}

let left = Number(process.env.SHOP_STEPS ?? Infinity);
setInterval(() => (left-- > 0 ? customer() : process.exit(0)), Number(process.env.SHOP_GAP_MS ?? 400));
