// Tells the bridge of each <link rel=preconnect> of the document, once.
const told = new WeakMap();

const look = (link) => {
	if (link.localName !== "link" || !link.relList.contains("preconnect") || !link.href)
		return;
	const hint = JSON.stringify({url: link.href, allowCredentials: link.crossOrigin !== "anonymous"});
	if (told.get(link) === hint)
		return;
	told.set(link, hint);
	bridgePreconnect(hint);
};

const lookInside = (node) => {
	if (node.nodeType !== Node.ELEMENT_NODE)
		return;
	look(node);
	node.querySelectorAll("link").forEach(look);
};

lookInside(document.documentElement ?? document.createElement("html"));
new MutationObserver((changes) => {
	for (const change of changes)
		change.type === "attributes" ? look(change.target) : change.addedNodes.forEach(lookInside);
}).observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ["rel", "href", "crossorigin"]});
