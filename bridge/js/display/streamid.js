// Gives the id by which the document of one page, the consumer, can capture another one, once.
// It runs in the page of an extension. Pages are named as in the protocol.
async (source, consumer) => {
  const targets = await chrome.debugger.getTargets(); // which attaches to nothing
  const tab = (id) => {
    const { tabId } = targets.find((target) => target.id === id) ?? {};
    if (tabId === undefined) throw new Error(`there is no page ${id}`);
    return tabId;
  };
  return chrome.tabCapture.getMediaStreamId({ targetTabId: tab(source), consumerTabId: tab(consumer) });
}
