// While a release takes over from another one, a balancer may ask an instance for a file that only the
// others have. Then the page is loaded again, a little later each time; what is kept survives that. Who
// waits for long is told so, and that the page goes on by itself.
(function () {
  var KEY = "photo-api.start";
  // About ten minutes; then whoever is there may try again.
  var MOST = 60;
  var PATIENCE = 4000;
  var LONGEST = 12000;
  var WORDS = {
    en: ["The page could not be loaded yet. It is tried again by itself; nothing is lost.", "Try again now"],
    ko: ["아직 페이지를 불러오지 못했습니다. 자동으로 다시 시도합니다. 잃은 것은 없습니다.", "지금 다시 시도"],
  };
  var going = false;
  // The page's own styles, without which it may run and looks like nothing.
  var styles = [];
  document.addEventListener("readystatechange", function () {
    if (document.readyState === "interactive") styles = Array.from(document.querySelectorAll("link[rel=stylesheet]"));
  });
  addEventListener(
    "error",
    function (event) {
      // Once the page runs it sees to what it loads itself.
      var early = !running() && /^(SCRIPT|LINK)$/.test(event.target.tagName || "");
      if (early || styles.indexOf(event.target) >= 0) again();
    },
    true,
  );
  // The first script has come, and something that it needs has not.
  addEventListener("photo-api.lacking", again);
  addEventListener("DOMContentLoaded", function () {
    if (Number(read() || 0) > 4) tell();
    else setTimeout(tell, PATIENCE);
  });
  function running() {
    return document.querySelector("#app > *");
  }
  function again() {
    var tried = Number(read() || 0);
    // Of one page several files may lack.
    if (going || tried >= MOST) return;
    going = true;
    write(String(tried + 1));
    setTimeout(reload, Math.min(LONGEST, 250 * (tried + 1)));
  }
  function tell() {
    if (running() || document.getElementById("start")) return;
    var words = WORDS[/^ko\b/.test(navigator.language) ? "ko" : "en"];
    var told = document.createElement("p");
    told.id = "start";
    told.setAttribute("role", "status");
    told.textContent = words[0] + " ";
    var button = document.createElement("button");
    button.textContent = words[1];
    button.onclick = reload;
    told.append(button);
    document.body.append(told);
    var gone = new MutationObserver(function () {
      if (!running()) return;
      gone.disconnect();
      told.remove();
    });
    gone.observe(document.getElementById("app"), { childList: true });
  }
  function reload() {
    location.reload();
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
