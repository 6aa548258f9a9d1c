"use strict";

// The page opens in a tab. A popup would close as soon as the tab of WhatsApp gets
// the focus, and the browser would stop a service worker before a slow person is
// done. The page learns from openerTabId in which tab the button was pressed.
chrome.action.onClicked.addListener((tab) =>
	chrome.tabs.create({ url: "page.html", openerTabId: tab.id, windowId: tab.windowId }));
