// Playwright as a client: each line that it prints is a step that went well.
import assert from 'node:assert';
import { chromium } from 'playwright-core';

const { HTTP, SITE, OTHER, TITLE } = process.env;
const ok = (step) => console.log('ok ' + step);

const browser = await chromium.connectOverCDP(HTTP, { timeout: 20000 });
const context = browser.contexts()[0];
assert.equal(context.pages().length, 0);
ok('sees no foreign page');

const page = await context.newPage();
page.setDefaultTimeout(20000);
await page.goto(`${SITE}/page/${TITLE}`);
assert.equal(await page.title(), TITLE);
ok('navigate');
assert.equal(await page.evaluate((a) => a + 1, 41), 42);
ok('evaluate');
await page.route('**/made-up', (route) => route.fulfill({ body: 'made up' }));
assert.equal(await page.evaluate(() => fetch('/made-up').then((r) => r.text())), 'made up');
await page.unroute('**/made-up');
ok('intercept');

await page.goto(`${SITE}/clients?other=${encodeURIComponent(OTHER)}`);
await page.frameLocator('iframe').locator('#inner').waitFor();
assert.equal(await page.frames().find((f) => f.url().startsWith(OTHER)).title(), 'inner');
ok('cross-site frame');
await page.waitForFunction(() => window.answer === 'from the worker');
assert.equal(await page.workers()[0].evaluate(() => self.name), 'helper');
ok('worker');
const service = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
assert.equal(await service.evaluate(() => self.marker), 'service');
ok('service worker');

assert.ok((await page.screenshot()).length > 1000);
ok('screenshot');
await browser.startTracing(page, { categories: ['-*', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
await page.reload();
const trace = JSON.parse((await browser.stopTracing()).toString());
assert.ok(trace.traceEvents.length > 10, `${trace.traceEvents.length} events`);
ok('tracing');

const session = await context.newCDPSession(page);
assert.equal((await session.send('Session.getInfo')).persistent, false);
await session.send('Session.enable');
const changed = new Promise((told) => session.once('Session.cookieChanged', told));
await context.addCookies([{ name: 'b', value: '1', url: SITE }]);
assert.equal((await changed).cookie.name, 'b');
ok('the domain Session');
const root = await browser.newBrowserCDPSession();
assert.equal((await root.send('Session.isPersistent')).persistent, false);
await assert.rejects(root.send('Browser.crash'), /wasn't found/);
ok('a session of the browser');

const own = await browser.newContext();
const second = await own.newPage();
await second.goto(`${SITE}/page/second`);
assert.equal(await second.title(), 'second');
await own.grantPermissions(['geolocation'], { origin: SITE });
await own.close();
ok('a context of its own');
await page.close();
await browser.close();
ok('close');
process.exit(0);
