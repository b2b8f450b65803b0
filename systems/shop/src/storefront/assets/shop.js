// The cart: lines in local storage, and a checkout that is repeated under one key until somebody answers.
const read = (key, otherwise) => {
  try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
};
const write = (key, value) => localStorage.setItem(key, JSON.stringify(value));
const lines = () => read('cart', []);
const money = (cents) => (cents / 100).toFixed(2);
const byId = (id) => document.getElementById(id);

function save(cart) {
  write('cart', cart.filter((line) => line.quantity > 0));
  localStorage.removeItem('checkout-key');
  draw();
}

function draw() {
  const cart = lines();
  byId('cart-count').textContent = String(cart.reduce((sum, line) => sum + line.quantity, 0));
  const body = byId('cart-lines');
  if (!body) return;
  byId('cart-empty').hidden = cart.length > 0;
  byId('cart-full').hidden = cart.length === 0;
  byId('cart-sum').textContent = money(cart.reduce((sum, line) => sum + line.price * line.quantity, 0));
  body.replaceChildren(...cart.map((line) => row(line, cart)));
}

function row(line, cart) {
  const tr = document.createElement('tr');
  const name = tr.insertCell();
  name.textContent = line.name;
  const pieces = document.createElement('input');
  Object.assign(pieces, { type: 'number', min: '0', max: '1000', value: String(line.quantity) });
  pieces.setAttribute('aria-label', `Pieces of ${line.name}`);
  pieces.addEventListener('change', () => {
    line.quantity = Math.max(0, Math.min(1000, Number(pieces.value) || 0));
    save(cart);
  });
  tr.insertCell().append(pieces);
  tr.insertCell().textContent = money(line.price * line.quantity);
  const remove = document.createElement('button');
  remove.textContent = 'Remove';
  remove.className = 'plain';
  remove.addEventListener('click', () => { line.quantity = 0; save(cart); });
  tr.insertCell().append(remove);
  return tr;
}

function add(button) {
  const { id, name, price } = button.dataset;
  const cart = lines();
  const line = cart.find((candidate) => candidate.id === id);
  if (line) line.quantity += 1;
  else cart.push({ id, name, price: Number(price), quantity: 1 });
  save(cart);
  button.textContent = 'Added';
  setTimeout(() => { button.textContent = 'Add to cart'; }, 900);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The key outlives a reload, so that whatever dies in the middle, one cart becomes one order.
function checkoutCart() {
  const key = localStorage.getItem('checkout-key') ?? crypto.randomUUID();
  localStorage.setItem('checkout-key', key);
  const wish = lines().map((line) => ({ product_id: line.id, quantity: line.quantity }));
  return checkout(key, wish, {
    placed: () => { write('cart', []); localStorage.removeItem('checkout-key'); },
    refused: () => localStorage.removeItem('checkout-key'),
  });
}

async function checkout(key, wish, then = { placed() {}, refused() {} }) {
  const state = byId('checkout-state');
  const body = JSON.stringify({ key, lines: wish });
  for (let attempt = 0; attempt < 12; attempt += 1) {
    state.textContent = attempt === 0 ? 'Placing your order…' : 'Still placing your order…';
    try {
      const answer = await fetch('/checkout', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      const told = await answer.json();
      if (answer.ok) {
        then.placed();
        location.assign(`/orders/${encodeURIComponent(told.order_id)}`);
        return;
      }
      if (answer.status < 500 && told.code !== 'in_progress') {
        then.refused();
        state.textContent = told.detail || told.title;
        return;
      }
    } catch { /* nobody answered; ask again */ }
    await pause(Math.min(2000, 150 * 2 ** attempt));
  }
  state.textContent = 'The shop does not answer. Nothing is lost; try again in a moment.';
}

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element && event.target.closest('button');
  if (!button) return;
  if (button.classList.contains('add')) add(button);
  const buys = button.classList.contains('buy');
  if (buys || button.id === 'place') {
    button.disabled = true;
    const done = buys
      ? checkout(crypto.randomUUID(), [{ product_id: button.dataset.id, quantity: 1 }])
      : checkoutCart();
    done.finally(() => { button.disabled = false; });
  }
});
draw();
