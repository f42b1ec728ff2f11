let posted = false;
document.addEventListener("submit", (event) => {
  if (posted) event.preventDefault();
  posted = true;
  // Against a double click alone: who stays on the page, because an app did not open, may try again.
  setTimeout(() => { posted = false; }, 3000);
});
// Who comes back to the page finds it as it was left.
addEventListener("pageshow", () => { posted = false; });
