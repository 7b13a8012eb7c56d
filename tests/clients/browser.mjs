// A real browser over its DevTools protocol: opens pages one after the other, and prints, each on a line as JSON, what
// came of a script in each (`shown`) and what the page complained of (`failures`). Arguments: the browser, a folder for
// its profile, then for each page its URL and the script, an expression whose promise is waited for.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const [browser, profile, ...pages] = process.argv.slice(2);
const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--window-size=1600,1200', '--remote-debugging-port=0',
  `--user-data-dir=${profile}`, 'about:blank'];
const chromium = spawn(browser, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
const end = (code) => { chromium.kill('SIGKILL'); process.exit(code); };
setTimeout(() => { console.error('the browser took more than two minutes'); end(1); }, 120_000);

let address;
for await (const line of createInterface({ input: chromium.stderr })) {
  address = line.match(/DevTools listening on (ws:\S+)/)?.[1];
  if (address) break;
}
chromium.stderr.resume();

const socket = new WebSocket(address);
await new Promise((opened) => socket.addEventListener('open', opened));
const waiting = new Map();
let failures = [];
socket.addEventListener('message', ({ data }) => {
  const { id, result, error, method, params } = JSON.parse(data);
  if (method === 'Runtime.exceptionThrown') {
    const { exception, text } = params.exceptionDetails;
    failures.push(exception?.description ?? text);
  }
  const [resolve, reject] = waiting.get(id) ?? [];
  waiting.delete(id);
  if (error) reject?.(new Error(error.message)); else resolve?.(result);
});
const send = (method, params, sessionId) => new Promise((...settle) => {
  const id = send.next = (send.next ?? 0) + 1;
  waiting.set(id, settle);
  socket.send(JSON.stringify({ id, method, params, sessionId }));
});

while (pages.length > 0) {
  const [url, script] = pages.splice(0, 2);
  failures = [];
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  await send('Runtime.enable', {}, sessionId);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } =
      await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await send('Page.navigate', { url }, sessionId);
  while (!await evaluate(`document.readyState === 'complete' && location.href !== 'about:blank'`)) {
    await new Promise((later) => setTimeout(later, 20));
  }
  console.log(JSON.stringify({ shown: await evaluate(script), failures }));
  await send('Target.closeTarget', { targetId });
}
end(0);
