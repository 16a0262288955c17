// Puppeteer as a client: each line that it prints is a step that went well.
import assert from 'node:assert';
import puppeteer from 'puppeteer-core';

const { HTTP, SITE, OTHER, TITLE } = process.env;
const ok = (step) => console.log('ok ' + step);

const browser = await puppeteer.connect({ browserURL: HTTP, protocolTimeout: 20000 });
assert.equal((await browser.pages()).length, 0);
ok('sees no foreign page');

const page = await browser.newPage();
await page.goto(`${SITE}/page/${TITLE}`);
assert.equal(await page.title(), TITLE);
ok('navigate');
assert.equal(await page.evaluate((a) => a + 1, 41), 42);
ok('evaluate');

await page.setRequestInterception(true);
const answer = (r) => (r.url().endsWith('/made-up') ? r.respond({ body: 'made up' }) : r.continue());
page.on('request', answer);
assert.equal(await page.evaluate(() => fetch('/made-up').then((r) => r.text())), 'made up');
page.off('request', answer);
await page.setRequestInterception(false);
ok('intercept');

await page.goto(`${SITE}/clients?other=${encodeURIComponent(OTHER)}`);
const frame = await page.waitForFrame((f) => f.url().startsWith(OTHER));
assert.equal(await frame.evaluate(() => document.title), 'inner');
ok('cross-site frame');
await page.waitForFunction(() => window.answer === 'from the worker');
assert.equal(page.workers().length, 1);
assert.equal(await page.workers()[0].evaluate(() => self.name), 'helper');
ok('worker');
const target = await browser.waitForTarget((t) => t.type() === 'service_worker', { timeout: 10000 });
const service = await target.worker();
assert.equal(await service.evaluate(() => self.marker), 'service');
ok('service worker');

assert.ok((await page.screenshot()).length > 1000);
ok('screenshot');
await page.tracing.start({ categories: ['-*', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
await page.reload();
const trace = JSON.parse(Buffer.from(await page.tracing.stop()).toString());
assert.ok(trace.traceEvents.length > 10, `${trace.traceEvents.length} events`);
ok('tracing');

const dialog = new Promise((answered) => page.once('dialog', async (d) => answered([d.message(), await d.accept('me')])));
assert.equal(await page.evaluate(() => prompt('who?')), 'me');
assert.equal((await dialog)[0], 'who?');
ok('dialog');

const session = await page.createCDPSession();
const info = await session.send('Session.getInfo');
assert.equal(info.persistent, false);
await session.send('Session.setUserAgent', { userAgent: 'Mine/1' });
assert.equal((await session.send('Session.getUserAgent')).userAgent, 'Mine/1');
await session.send('Session.enable');
const changed = new Promise((told) => session.once('Session.cookieChanged', told));
await session.send('Session.cookiesSet', { details: { url: SITE, name: 'a', value: '1' } });
assert.equal((await changed).cookie.name, 'a');
await assert.rejects(session.send('Session.nope'), /wasn't found/);
ok('the domain Session');
const root = await browser.target().createCDPSession();
assert.equal((await root.send('Session.isPersistent')).persistent, false);
await assert.rejects(root.send('Browser.crash'), /wasn't found/);
ok('a session of the browser');

const context = await browser.createBrowserContext();
const second = await context.newPage();
await second.goto(`${SITE}/page/second`);
assert.equal(await second.evaluate(() => navigator.userAgent), 'Mine/1');
assert.equal(await second.evaluate(() => document.cookie), '');
await context.overridePermissions(SITE.replace(/^http:/, 'https:'), ['geolocation']);
await context.close();
ok('a context of its own');
await page.close();
await browser.close();
ok('close');
