// Tells of cookies that change. The page may have done so before.
() => {
	if (globalThis.hearing) {
		chrome.cookies.onChanged.removeListener(globalThis.hearing);
	}
	globalThis.hearing = change => tell(JSON.stringify(change));
	chrome.cookies.onChanged.addListener(globalThis.hearing);
}
