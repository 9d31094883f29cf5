/**
 * Dragging by mouse, pen or finger inside an element that scrolls. A mouse drags once it has moved, a
 * finger after it has rested: until then it scrolls. Near the edges the element scrolls by itself.
 */

export interface Point {
  /** In the window, for what follows the pointer. */
  clientX: number;
  clientY: number;
  /** In the scrolled content. */
  x: number;
  y: number;
}

export interface Handlers {
  /** Whether there is something to drag at this point. */
  start(point: Point): boolean;
  /** Also when the content moves below the pointer. */
  move(point: Point): void;
  drop(): void;
  cancel(): void;
}

/** Pixels from which on a movement is one. */
const SLACK = { mouse: 6, touch: 10 };
/** Milliseconds that a finger rests. */
const REST = 400;
/** Pixels from an edge within which it scrolls, and how many pixels a second at most. */
const EDGE = 80;
const FASTEST = 1_400;

interface Press {
  id: number;
  touch: boolean;
  event: PointerEvent;
  timer: number;
  begun: boolean;
}

export function dragging(box: HTMLElement, handlers: Handlers): { destroy: () => void } {
  let press: Press | null = null;
  /** The click that follows a drag is none. */
  let swallow = false;
  let frame = 0;
  let before = 0;

  function pointOf(event: PointerEvent): Point {
    const { left, top } = box.getBoundingClientRect();
    const { clientX, clientY } = event;
    return { clientX, clientY, x: clientX - left - box.clientLeft, y: clientY - top - box.clientTop + box.scrollTop };
  }

  function down(event: PointerEvent): void {
    swallow = false;
    if (press !== null) return void (event.isPrimary || end(false));
    if (!event.isPrimary || event.button !== 0) return;
    const touch = event.pointerType !== "mouse";
    press = { id: event.pointerId, touch, event, timer: 0, begun: false };
    if (touch) press.timer = window.setTimeout(() => begin() && navigator.vibrate?.(20), REST);
  }

  function moved(event: PointerEvent): void {
    if (press === null || event.pointerId !== press.id) return;
    const far = Math.hypot(event.clientX - press.event.clientX, event.clientY - press.event.clientY);
    if (!press.begun) {
      if (far <= (press.touch ? SLACK.touch : SLACK.mouse)) return;
      if (press.touch || !begin()) return end(false);
    }
    press.event = event;
    handlers.move(pointOf(event));
  }

  function begin(): boolean {
    if (press === null || !handlers.start(pointOf(press.event))) return false;
    press.begun = true;
    box.setPointerCapture(press.id);
    handlers.move(pointOf(press.event));
    before = performance.now();
    frame = requestAnimationFrame(scroll);
    return true;
  }

  function scroll(now: number): void {
    if (!press?.begun) return;
    const { top, bottom } = box.getBoundingClientRect();
    const y = press.event.clientY;
    const depth = y < top + EDGE ? y - top - EDGE : y > bottom - EDGE ? y - bottom + EDGE : 0;
    const speed = Math.max(-1, Math.min(1, depth / EDGE)) * FASTEST;
    const place = box.scrollTop;
    // A browser may keep whole pixels alone: less than one a frame would be none.
    if (speed !== 0) box.scrollTop = place + Math.sign(speed) * Math.max(1, (Math.abs(speed) * Math.min(now - before, 50)) / 1000);
    if (box.scrollTop !== place) handlers.move(pointOf(press.event));
    before = now;
    frame = requestAnimationFrame(scroll);
  }

  function end(dropped: boolean): void {
    if (press === null) return;
    const { begun, timer, id } = press;
    press = null;
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    if (!begun) return;
    if (box.hasPointerCapture(id)) box.releasePointerCapture(id);
    swallow = true;
    if (dropped) handlers.drop();
    else handlers.cancel();
  }

  function up(event: PointerEvent): void {
    if (event.pointerId === press?.id) end(true);
  }

  function cancelled(event: PointerEvent): void {
    if (event.pointerId === press?.id) end(false);
  }

  function clicked(event: MouseEvent): void {
    if (!swallow) return;
    swallow = false;
    event.stopPropagation();
    event.preventDefault();
  }

  function pressed(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !press?.begun) return;
    event.stopPropagation();
    event.preventDefault();
    end(false);
  }

  /** The browser would scroll by the finger that drags. */
  function held(event: TouchEvent): void {
    if (press?.begun && event.cancelable) event.preventDefault();
  }

  function menu(event: Event): void {
    if (press?.touch) event.preventDefault();
  }

  const stop = new AbortController();
  const { signal } = stop;
  box.addEventListener("pointerdown", down, { signal });
  box.addEventListener("pointermove", moved, { signal });
  box.addEventListener("pointerup", up, { signal });
  box.addEventListener("pointercancel", cancelled, { signal });
  box.addEventListener("click", clicked, { signal, capture: true });
  box.addEventListener("touchmove", held, { signal, passive: false });
  box.addEventListener("contextmenu", menu, { signal });
  addEventListener("keydown", pressed, { signal, capture: true });
  return {
    destroy() {
      end(false);
      stop.abort();
    },
  };
}
