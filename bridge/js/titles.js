// Tells the bridge each title that the document takes.
if (window === top) {
  let last = document.title;
  new MutationObserver(() => {
    if (document.title !== last) bridgeTitle(last = document.title);
  }).observe(document, {subtree: true, childList: true, characterData: true});
}
