// Tells the site, whose frame this page stands in, to go on; without scripts the page's link does.
"use strict";
if (window.parent !== window) window.parent.postMessage({ type: "hits:submitted" }, "*");
