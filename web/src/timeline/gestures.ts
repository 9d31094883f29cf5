/** What mouse, pen and finger do on a grid: open, pick one, pick a range. */

export interface Gestures {
  open(index: number): void;
  toggle(index: number): void;
  range(index: number): void;
  /** Whether there is a selection that a plain click changes. */
  selecting(): boolean;
  /** Whether anything can be selected here. */
  selectable(): boolean;
  /** Something else than a photo was pressed. */
  outside(): void;
}

/** Milliseconds. */
const LONG = 450;
/** Pixels that a finger may tremble. */
const STILL = 10;

export function gestures(box: HTMLElement, does: Gestures): { destroy(): void } {
  const stop = new AbortController();
  const { signal } = stop;
  let timer = 0;
  let pressed: PointerEvent | null = null;
  let held = false;

  function release(): void {
    clearTimeout(timer);
    pressed = null;
  }
  function down(event: PointerEvent): void {
    release();
    held = false;
    const index = indexAt(event);
    if (index < 0) does.outside();
    if (index < 0 || event.pointerType === "mouse" || !event.isPrimary || !does.selectable()) return;
    pressed = event;
    timer = window.setTimeout(() => {
      pressed = null;
      held = true;
      navigator.vibrate?.(15);
      does.toggle(index);
    }, LONG);
  }
  function moved(event: PointerEvent): void {
    if (pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > STILL) release();
  }
  function clicked(event: MouseEvent): void {
    const index = indexAt(event);
    if (index < 0) return;
    // The click that ends a long press is none.
    if (held) held = false;
    else if (!does.selectable()) does.open(index);
    // By Enter, which opens: space selects.
    else if (event.detail === 0 && !onPick(event)) does.open(index);
    else if (event.shiftKey) does.range(index);
    else if (event.ctrlKey || event.metaKey || onPick(event) || does.selecting()) does.toggle(index);
    else does.open(index);
  }
  function menu(event: Event): void {
    if (held || pressed) event.preventDefault();
  }
  box.addEventListener("pointerdown", down, { signal });
  box.addEventListener("pointermove", moved, { signal, passive: true });
  box.addEventListener("pointerup", release, { signal });
  box.addEventListener("pointercancel", release, { signal });
  box.addEventListener("click", clicked, { signal });
  box.addEventListener("contextmenu", menu, { signal });
  return {
    destroy() {
      release();
      stop.abort();
    },
  };
}

function indexAt(event: Event): number {
  const tile = (event.target as Element).closest<HTMLElement>("[data-index]");
  return tile ? Number(tile.dataset["index"]) : -1;
}

function onPick(event: Event): boolean {
  return (event.target as Element).closest("[role=checkbox]") !== null;
}
