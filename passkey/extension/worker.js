"use strict";

// A tab and not a popup: a popup closes as soon as the tab of WhatsApp gets the
// focus, and a service worker does not live as long as a person may need.
chrome.action.onClicked.addListener(() => chrome.tabs.create({ url: "page.html" }));
