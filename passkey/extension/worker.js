"use strict";

// A tab and not a popup: a popup closes as soon as the tab of WhatsApp gets the
// focus, and a service worker does not live as long as a person may need. The
// page learns from its opener which tab the button was pressed in.
chrome.action.onClicked.addListener((tab) =>
	chrome.tabs.create({ url: "page.html", openerTabId: tab.id, windowId: tab.windowId }));
