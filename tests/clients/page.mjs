// The page of a gateway in a real browser, over its DevTools protocol: fills in the form, has a trip planned, and prints
// what the page shows then. Arguments: the browser, a folder for its profile, the URL of the page, a destination.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const [browser, profile, url, destination] = process.argv.slice(2);
const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'];
const chromium = spawn(browser, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
const end = (code) => { chromium.kill('SIGKILL'); process.exit(code); };
setTimeout(() => { console.error('the browser took more than a minute'); end(1); }, 60_000);

let address;
for await (const line of createInterface({ input: chromium.stderr })) {
  address = line.match(/DevTools listening on (ws:\S+)/)?.[1];
  if (address) break;
}
chromium.stderr.resume();

const socket = new WebSocket(address);
await new Promise((opened) => socket.addEventListener('open', opened));
const waiting = new Map();
socket.addEventListener('message', ({ data }) => {
  const { id, result, error } = JSON.parse(data);
  const [resolve, reject] = waiting.get(id) ?? [];
  waiting.delete(id);
  if (error) reject?.(new Error(error.message)); else resolve?.(result);
});
const send = (method, params, sessionId) => new Promise((...settle) => {
  const id = send.next = (send.next ?? 0) + 1;
  waiting.set(id, settle);
  socket.send(JSON.stringify({ id, method, params, sessionId }));
});

const { targetId } = await send('Target.createTarget', { url });
const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
const evaluate = async (expression) => {
  const { result, exceptionDetails } =
    await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};
while (!await evaluate(`document.readyState === 'complete' && location.href !== 'about:blank'`)) {
  await new Promise((later) => setTimeout(later, 20));
}

const shown = await evaluate(`(async () => {
  const [plan, state] = ['plan', 'state'].map((id) => document.getElementById(id));
  let changes = 0;
  new MutationObserver((seen) => { changes += seen.length; }).observe(plan, { childList: true });
  document.querySelector('[name=destination]').value = ${JSON.stringify(destination)};
  document.querySelector('form button').click();
  const isOver = () => !document.querySelector('form button').disabled;
  while (!isOver()) await new Promise((later) => setTimeout(later, 10));
  return { title: document.title, state: state.textContent, plan: plan.textContent, changes };
})()`);
console.log(JSON.stringify(shown));
end(0);
