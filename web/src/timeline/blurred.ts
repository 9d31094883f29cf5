import { decode } from "blurhash";

const SIDE = 20;
/** Milliseconds of a frame that may go into it: sixty at once would be a long task. */
const BUDGET = 6;

const waiting = new Map<HTMLCanvasElement, string>();
let frame = 0;

/** Draws a BlurHash into a canvas: a `data:` URL would be against the page's policy. */
export function blurred(canvas: HTMLCanvasElement, hash: string): { update(hash: string): void; destroy(): void } {
  canvas.width = canvas.height = SIDE;
  queue(canvas, hash);
  return {
    update: (changed) => queue(canvas, changed),
    destroy: () => void waiting.delete(canvas),
  };
}

function queue(canvas: HTMLCanvasElement, hash: string): void {
  waiting.set(canvas, hash);
  frame ||= requestAnimationFrame(drawSome);
}

function drawSome(): void {
  const end = performance.now() + BUDGET;
  for (const [canvas, hash] of waiting) {
    waiting.delete(canvas);
    draw(canvas, hash);
    if (performance.now() > end) break;
  }
  frame = waiting.size > 0 ? requestAnimationFrame(drawSome) : 0;
}

function draw(canvas: HTMLCanvasElement, hash: string): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  try {
    const image = context.createImageData(SIDE, SIDE);
    image.data.set(decode(hash, SIDE, SIDE));
    context.putImageData(image, 0, 0);
  } catch {
    // Not a BlurHash: no picture is better than none of the others.
  }
}
