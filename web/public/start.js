// While a release takes over from another one, a balancer may ask an instance for a file that only the
// others have. Then the page is loaded again, a little later each time; what is kept survives that.
(function () {
  var KEY = "photo-api.start";
  var MOST = 12;
  addEventListener(
    "error",
    function (event) {
      var part = event.target;
      // Once the page runs it sees to what it loads itself.
      var running = document.querySelector("#app > *");
      if (!running && /^(SCRIPT|LINK)$/.test(part.tagName || "")) again();
    },
    true,
  );
  function again() {
    var tried = Number(read() || 0);
    if (tried >= MOST) return;
    write(String(tried + 1));
    setTimeout(function () {
      location.reload();
    }, Math.min(4000, 250 * (tried + 1)));
  }
  // Without storage there is no end to count to, so nothing is tried again.
  function read() {
    try {
      return sessionStorage.getItem(KEY);
    } catch (_) {
      return MOST;
    }
  }
  function write(tried) {
    try {
      sessionStorage.setItem(KEY, tried);
    } catch (_) {
      return;
    }
  }
})();
