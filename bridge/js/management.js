// Tells of extensions that Chromium loads and unloads.
() => {
	if (!globalThis.hearing) {
		globalThis.hearing = true;
		chrome.management.onEnabled.addListener(e => tell(JSON.stringify({id: e.id, enabled: true})));
		chrome.management.onDisabled.addListener(e => tell(JSON.stringify({id: e.id, enabled: false})));
		chrome.management.onUninstalled.addListener(id => tell(JSON.stringify({id, enabled: false})));
	}
}
