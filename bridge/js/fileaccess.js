// Allows an extension to use file: addresses, or not, which reloads it. What is
// loaded over the protocol is allowed to at first.
async (id, fileAccess) => {
	const info = () => chrome.developerPrivate.getExtensionInfo(id);
	if ((await info()).fileAccess.isActive === fileAccess) {
		return;
	}
	await chrome.developerPrivate.updateExtensionConfiguration({extensionId: id, fileAccess});
	for (;;) {
		const now = await info();
		if (now.state === 'ENABLED' && now.fileAccess.isActive === fileAccess) {
			return;
		}
		await new Promise(done => setTimeout(done, 10));
	}
}
