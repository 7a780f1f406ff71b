"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const manifest = JSON.parse(byId("manifest").textContent);
  const parameters = new URLSearchParams(location.search);
  const assignmentId = parameters.get("assignmentId") || "ASSIGNMENT_ID_NOT_AVAILABLE";
  const preview = assignmentId === "ASSIGNMENT_ID_NOT_AVAILABLE";
  const form = byId("form"), grid = byId("grid"), zoom = byId("zoom"), report = byId("report"), help = byId("help");
  const KEYS = { y: "yes", n: "no", u: "unsure" };
  const MARKS = { yes: "✓ Yes", no: "✗ No", unsure: "? Not sure", report: "Reported", broken: "Did not load" };
  const PATIENCE_MS = 30000;
  // A dialog keeps its own cell: closing it gives the focus, and so `active`, back to where it was before.
  let zoomed = null, reported = null;
  let active = 0, sent = false, rested = [], bridged = false;

  // --- cells ---------------------------------------------------------------------------------------------
  const cells = manifest.cells.map(({ name, url }, index) => {
    const node = byId("cell").content.firstElementChild.cloneNode(true);
    const cell = { name, url, index, node, seen: !manifest.sensitive, answer: null, reason: null, timer: 0,
      picture: node.querySelector(".picture"), image: node.querySelector("img"), retry: node.querySelector(".retry") };
    const title = `Picture ${index + 1}`;
    node.querySelector(".number").textContent = index + 1;
    node.querySelector(".flag").setAttribute("aria-label", `${title}: report`);
    node.querySelector(".zoom").setAttribute("aria-label", `${title}: zoom`);
    cell.image.onload = () => settle(cell, "loaded");
    cell.image.onerror = () => settle(cell, "failed");
    cell.picture.onclick = () => {
      if (failed(cell)) fetchPicture(cell);
      else if (!cell.seen) unveil(cell);
      else say(cell, cell.answer === "yes" ? "no" : "yes");
    };
    cell.retry.onclick = () => { cell.picture.focus(); fetchPicture(cell); };
    cell.retry.setAttribute("aria-label", `${title}: try to load it again`);
    node.querySelector(".flag").onclick = () => openReport(cell);
    node.querySelector(".zoom").onclick = () => openZoom(cell);
    for (const button of node.querySelectorAll("[data-answer]")) {
      button.setAttribute("aria-label", `${title}: ${button.textContent}`);
      button.onclick = () => say(cell, cell.answer === button.dataset.answer ? null : button.dataset.answer);
    }
    node.addEventListener("focusin", () => activate(index));
    grid.append(node);
    return cell;
  });
  const failed = (cell) => cell.node.dataset.picture === "failed";

  // Only the active cell is in the tab order: one Tab leaves the grid, arrows move within it.
  function activate(index) {
    for (const [at, tabIndex] of [[active, -1], [index, 0]])
      for (const button of cells[at].node.querySelectorAll("button")) button.tabIndex = tabIndex;
    active = index;
  }

  function focusCell(index) {
    const cell = cells[Math.max(0, Math.min(cells.length - 1, index))];
    cell.picture.focus({ preventScroll: true });
    cell.node.scrollIntoView({ block: "nearest" });
  }

  function paint(cell) {
    const { node, answer } = cell;
    if (answer) node.dataset.answer = answer; else delete node.dataset.answer;
    node.querySelector(".mark").textContent = answer ? MARKS[answer] : "";
    for (const button of node.querySelectorAll("[data-answer]"))
      button.setAttribute("aria-pressed", button.dataset.answer === answer);
    node.querySelector(".answers").hidden = failed(cell);
    cell.retry.hidden = !failed(cell);
    node.toggleAttribute("data-veiled", !cell.seen);
    const state = `${answer ? MARKS[answer].replace(/^\W+/, "") : "no answer yet"}${cell.seen ? "" : ", blurred"}`;
    cell.picture.setAttribute("aria-label", `Picture ${cell.index + 1} of ${cells.length}: ${state}`);
    if (zoom.open && cell === zoomed) paintZoom();
  }

  function say(cell, answer, reason = null) {
    if (preview) return announce("This is a preview: accept the HIT to answer.");
    if (cell.node.dataset.picture !== "loaded")
      return announce(failed(cell) ? "This picture did not load." : "This picture is still loading.");
    // Nobody judges what was not looked at; a report needs no look.
    if (!cell.seen && answer && answer !== "report") return announce("This picture is blurred. Press b to see it.");
    cell.answer = answer;
    cell.reason = reason;
    rested = [];
    paint(cell);
    changed(`Picture ${cell.index + 1}: ${answer ? MARKS[answer].replace(/^\W+/, "") : "no answer"}`);
    return true;
  }

  function changed(message) {
    const done = cells.filter((cell) => cell.answer).length;
    byId("progress").textContent = `${done} of ${cells.length}`;
    byId("track").style.width = `${(100 * done) / cells.length}%`;
    byId("submit").setAttribute("aria-disabled", preview || done < cells.length);
    byId("rest").textContent = undoable() ? "Undo" : "Rest are No";
    if (message) announce(`${message}. ${done} of ${cells.length} answered.`);
    save();
  }

  // The last "Rest are No" can be taken back until something else is answered.
  function undoable() { return rested.length > 0 && cells.every((cell) => cell.answer); }

  function announce(text) { byId("live").textContent = text; }

  function notice(text, wrong) {
    byId("notice").textContent = text;
    byId("notice").classList.toggle("wrong", Boolean(wrong));
    byId("notice").hidden = false;
  }

  // --- blurred pictures: seen one by one, or all at once -------------------------------------------------
  function unveil(cell) {
    if (cell.seen) return;
    cell.seen = true;
    paint(cell);
    announce(`Picture ${cell.index + 1} is shown.`);
  }

  if (manifest.sensitive) {
    document.body.classList.add("veiled");
    byId("unveil").onclick = () => {
      for (const cell of cells) { cell.seen = true; paint(cell); }
      document.body.classList.remove("veiled");
      byId("unveil").setAttribute("aria-pressed", true);
      byId("unveil").disabled = true;
      announce("All pictures are shown.");
    };
  }
  for (const image of document.querySelectorAll(".examples img")) image.onerror = () => image.remove();

  // --- pictures: fetched when near, given up after a while, so that one that hangs cannot block the page -----
  function fetchPicture(cell) {
    cell.node.dataset.picture = "loading";
    if (cell.answer === "broken") { cell.answer = null; changed(); }
    paint(cell);
    cell.timer = setTimeout(() => settle(cell, "failed"), PATIENCE_MS);
    cell.image.removeAttribute("src");
    cell.image.src = cell.url;
  }

  function settle(cell, state) {
    clearTimeout(cell.timer);
    if (cell.node.dataset.picture === state || !cell.image.src) return;
    cell.node.dataset.picture = state;
    // A picture that nobody can see has no other answer; one that came late after all is open again.
    if (!preview && (state === "failed" || cell.answer === "broken")) {
      cell.answer = state === "failed" ? "broken" : null;
      cell.reason = null;
      changed(state === "failed" ? `Picture ${cell.index + 1} did not load` : "");
    }
    paint(cell);
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const cell = cells.find(({ node }) => node === entry.target);
      if (!entry.isIntersecting || cell.node.dataset.picture !== "waiting") continue;
      near.unobserve(cell.node);
      fetchPicture(cell);
    }
  }, { root: document, rootMargin: "1200px 0px" });

  // --- zoom, report, help ------------------------------------------------------------------------------
  function openZoom(cell) {
    zoomed = cell;
    unveil(cell);
    paintZoom();
    zoom.showModal();
    zoom.querySelector("[data-close]").focus();
  }

  function paintZoom() {
    if (byId("large").src !== zoomed.image.src) byId("large").src = zoomed.image.src;
    byId("zoomed").textContent = `Picture ${zoomed.index + 1} of ${cells.length}`;
    for (const button of zoom.querySelectorAll("[data-answer]"))
      button.setAttribute("aria-pressed", button.dataset.answer === zoomed.answer);
  }

  function stepZoom(step) {
    zoomed = cells[Math.max(0, Math.min(cells.length - 1, zoomed.index + step))];
    if (zoomed.node.dataset.picture === "waiting") fetchPicture(zoomed);
    unveil(zoomed);
    paintZoom();
  }

  function sayInZoom(answer) {
    if (!say(zoomed, answer)) return;
    if (zoomed.index + 1 < cells.length) stepZoom(1); else zoom.close();
  }

  function openReport(cell) {
    if (preview || cell.node.dataset.picture !== "loaded") return say(cell, null);
    reported = cell;
    byId("reporting").textContent = `Report picture ${cell.index + 1}`;
    report.showModal();
  }

  function chooseReason(reason) {
    report.close();
    if (say(reported, "report", reason)) advance(reported.index);
  }

  for (const dialog of [zoom, report, help]) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
  }
  zoom.addEventListener("close", () => focusCell(zoomed.index));
  for (const button of zoom.querySelectorAll("[data-step]")) button.onclick = () => stepZoom(Number(button.dataset.step));
  for (const button of zoom.querySelectorAll("[data-answer]")) button.onclick = () => sayInZoom(button.dataset.answer);
  for (const button of report.querySelectorAll("[data-reason]")) button.onclick = () => chooseReason(button.dataset.reason);
  byId("keys").onclick = () => help.showModal();
  byId("more").onclick = () => {
    const open = byId("top").classList.toggle("open");
    byId("more").setAttribute("aria-expanded", open);
    byId("more").textContent = open ? "Less" : "More";
    measure();
  };

  // --- keyboard ------------------------------------------------------------------------------------------
  function columns() {
    const top = cells[0].node.offsetTop;
    const second = cells.findIndex(({ node }) => node.offsetTop !== top);
    return second < 0 ? cells.length : second;
  }

  function advance(from) {
    const order = [...cells.slice(from + 1), ...cells.slice(0, from)];
    const next = order.find((cell) => !cell.answer);
    if (next) focusCell(next.index); else byId("submit").focus();
  }

  function gridKey(event) {
    const cell = cells[active];
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -active, End: cells.length };
    if (event.key in steps) {
      const target = active + steps[event.key];
      if (event.key === "ArrowDown" && target >= cells.length) byId("submit").focus();
      else if (target >= 0 || event.key !== "ArrowUp") focusCell(target);
    } else if (event.key in KEYS) {
      if (say(cell, KEYS[event.key])) advance(active);
    } else if (event.key === "b") unveil(cell);
    else if (event.key === "r") openReport(cell);
    else if (event.key === "z" || (event.key === "Enter" && (event.target === cell.picture || event.target === document.body)))
      failed(cell) ? fetchPicture(cell) : openZoom(cell);
    else return;
    event.preventDefault();
  }

  function zoomKey(event) {
    if (event.key === "ArrowLeft" || event.key === "ArrowUp") stepZoom(-1);
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") stepZoom(1);
    else if (event.key in KEYS) sayInZoom(KEYS[event.key]);
    else if (event.key === "z" || (event.key === "Enter" && event.target.closest("[data-answer],[data-step],[data-close]") === null)) zoom.close();
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (report.open) {
      const button = report.querySelectorAll("[data-reason]")["123".indexOf(event.key)];
      if (button) button.click();
    } else if (event.key === "?") {
      if (help.open) help.close(); else help.showModal();
    } else if (zoom.open) zoomKey(event);
    else if (!help.open && (grid.contains(event.target) || event.target === document.body)) gridKey(event);
    else if (!help.open && event.key === "ArrowUp" && form.contains(event.target)) focusCell(active);
  });

  // --- the rest, autosave, submission --------------------------------------------------------------------
  byId("rest").onclick = () => {
    if (preview) return announce("This is a preview: accept the HIT to answer.");
    const undoing = undoable();
    // Nobody says no to what was not shown: pictures that did not load yet stay open.
    const marked = undoing ? rested : cells.filter((cell) => !cell.answer && cell.seen && cell.node.dataset.picture === "loaded");
    for (const cell of marked) { cell.answer = undoing ? null : "no"; paint(cell); }
    rested = undoing ? [] : [...rested, ...marked];
    changed(undoing ? "Undone" : `${marked.length} pictures: no`);
    const open = cells.find((cell) => !cell.answer);
    if (!undoing && open) focusCell(open.index);
  };

  // Time counts while the page can be seen.
  let spent = 0, since = document.hidden ? null : performance.now();
  const seconds = () => Math.round((spent + (since === null ? 0 : performance.now() - since)) / 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && since !== null) { spent += performance.now() - since; since = null; save(); }
    else if (!document.hidden && since === null) since = performance.now();
  });

  function answersNow() {
    const said = {};
    for (const { name, answer, reason } of cells) if (answer) said[name] = reason ? [answer, reason] : answer;
    return JSON.stringify({ v: 1, seconds: seconds(), cells: said });
  }

  function tell(message) { if (window.parent !== window) window.parent.postMessage(message, "*"); }
  // Nothing is saved before the saved state came: a picture that fails at once must not overwrite it.
  function save() { if (bridged) tell({ type: "hits:save", state: answersNow() }); }

  function restore(state) {
    let saved;
    try { saved = JSON.parse(state); } catch { return; }
    if (!saved || saved.v !== 1 || typeof saved.cells !== "object") return;
    spent += 1000 * (Number(saved.seconds) || 0);
    for (const cell of cells) {
      const said = Object.hasOwn(saved.cells, cell.name) ? [saved.cells[cell.name]].flat() : [];
      // Whether a picture is broken is seen anew.
      if (cell.answer || !(said[0] in MARKS) || said[0] === "broken" || (said[0] === "report") !== (said.length === 2)) continue;
      [cell.answer, cell.reason = null] = said;
      cell.seen ||= cell.answer !== "report";
      paint(cell);
    }
    changed("Your answers are back");
    const next = cells.find((cell) => !cell.answer);
    if (next) activate(next.index);
  }

  window.addEventListener("message", (event) => {
    if (preview || event.source !== window.parent || window.parent === window) return;
    if (!event.data || event.data.type !== "hits:restore") return;
    bridged = true;
    if (typeof event.data.state === "string") restore(event.data.state); else save();
  });

  function submitAddress() {
    try {
      const url = new URL(parameters.get("turkSubmitTo"));
      return ["http:", "https:"].includes(url.protocol) ? `${url.origin}${url.pathname.replace(/\/+$/, "")}/mturk/externalSubmit` : null;
    } catch { return null; }
  }
  const destination = submitAddress();

  form.addEventListener("submit", (event) => {
    const open = cells.find((cell) => !cell.answer);
    if (!preview && !sent && !open && destination) {
      form.elements.assignmentId.value = assignmentId;
      form.elements.answers.value = answersNow();
      sent = true;
      byId("submit").textContent = "Sending…";
      return;
    }
    event.preventDefault();
    if (preview) announce("This is a preview: accept the HIT to answer.");
    else if (open) {
      focusCell(open.index);
      announce(`${cells.filter((cell) => !cell.answer).length} pictures have no answer yet.`);
    }
  });
  window.addEventListener("pageshow", () => { sent = false; byId("submit").textContent = "Submit"; });

  // --- start -----------------------------------------------------------------------------------------------
  function measure() {
    // Moving to a picture must not hide it under the sticky bars.
    document.documentElement.style.scrollPadding = `${byId("top").offsetHeight + 8}px 0 ${form.offsetHeight + 8}px`;
    tell({ type: "hits:height", height: document.documentElement.scrollHeight });
  }
  new ResizeObserver(measure).observe(document.body);
  if (preview) {
    document.body.classList.add("preview");
    notice("This is a preview. Accept the HIT to answer.");
    help.showModal();
  } else if (destination) form.action = destination;
  else notice("This page cannot be submitted: it was opened without a valid turkSubmitTo address.", true);
  for (const button of document.querySelectorAll(".answers button, .flag, #rest")) if (preview) button.setAttribute("aria-disabled", true);
  cells.forEach(paint);
  activate(0);
  byId("progress").textContent = `0 of ${cells.length}`;
  cells.forEach((cell) => near.observe(cell.node));
  tell({ type: "hits:ready" });
})();
