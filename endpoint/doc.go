// Package endpoint serves sessions of the bridge to clients of the DevTools
// protocol: Puppeteer, Playwright, chromedp, rod, or a WebSocket and twenty lines.
// A client connects as to a browser and sees one session as if that were the
// whole browser. It can call one domain more than Chromium has, Session.
package endpoint
