// The bridge between a question in its frame and the site around it, and the clock. The frame has no origin of
// its own, so messages to it go to "*"; messages from it are known by their window.
"use strict";
(() => {
  const main = document.getElementById("main");
  const assignment = main && main.dataset.assignmentId;
  const key = assignment && `hits:state:${assignment}`;
  const LONGEST_STATE = 1000000;

  function kept() {
    try { return key ? localStorage.getItem(key) : null; } catch { return null; }
  }
  function keep(state) {
    try { if (key) localStorage.setItem(key, state); } catch { /* Storage is full or forbidden: answers stay in the page. */ }
  }
  function forget() {
    try { if (key) localStorage.removeItem(key); } catch { /* Nothing can have been kept. */ }
  }

  if (assignment && main.dataset.status && main.dataset.status !== "Accepted") forget();

  const frame = document.getElementById("question");
  if (!frame) return;

  let saving = 0;
  let unsaved = null;
  function flush() {
    clearTimeout(saving);
    if (unsaved !== null) keep(unsaved);
    unsaved = null;
  }
  let wanted = Number(frame.dataset.height) || 0;
  const fixed = wanted > 0;

  // As tall as its content asks for, but no taller than the window: so a page's own bars stay in sight.
  function resize() {
    if (fixed) { frame.style.height = `${wanted}px`; return; }
    const room = Math.max(320, window.innerHeight - frame.getBoundingClientRect().top - window.scrollY);
    frame.style.height = `${wanted ? Math.min(Math.max(wanted, 160), room) : room}px`;
  }
  window.addEventListener("resize", resize);
  window.addEventListener("pagehide", flush);

  window.addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow) return;
    const message = event.data;
    if (typeof message !== "object" || message === null) return;
    if (message.type === "hits:ready") {
      frame.contentWindow.postMessage({ type: "hits:restore", state: kept() }, "*");
    } else if (message.type === "hits:save" && typeof message.state === "string") {
      if (message.state.length > LONGEST_STATE) return;
      unsaved = message.state;
      clearTimeout(saving);
      saving = setTimeout(flush, 250);
    } else if (message.type === "hits:height" && Number.isFinite(message.height)) {
      if (!fixed) { wanted = Math.ceil(message.height); resize(); }
    } else if (message.type === "hits:submitted") {
      unsaved = null;
      clearTimeout(saving);
      if (assignment) location.replace(`/assignments/${assignment}`);
    }
  });
  resize();

  const giveBack = document.getElementById("return");
  if (giveBack) giveBack.addEventListener("submit", () => { unsaved = null; clearTimeout(saving); forget(); });

  const clock = document.getElementById("time-left");
  if (clock) {
    const warning = document.getElementById("time-warning");
    const end = performance.now() + 1000 * Number(clock.dataset.secondsLeft);
    const two = (number) => String(number).padStart(2, "0");
    let warned = false;
    const tick = () => {
      const left = Math.max(0, Math.round((end - performance.now()) / 1000));
      const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
      clock.textContent = left ? `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds)} left` : "the time is over";
      clock.classList.toggle("soon", left <= 120);
      if (left <= 120 && !warned) {
        warned = true;
        warning.textContent = left ? "Two minutes are left for this HIT." : "The time for this HIT is over.";
      }
      if (left) setTimeout(tick, 1000);
    };
    tick();
  }
})();
