import { decode } from "blurhash";

const SIDE = 32;

/** Draws a BlurHash into a canvas of 32 by 32: a `data:` URL would be against the page's policy. */
export function blurred(canvas: HTMLCanvasElement, hash: string): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  try {
    const image = context.createImageData(SIDE, SIDE);
    image.data.set(decode(hash, SIDE, SIDE));
    context.putImageData(image, 0, 0);
  } catch {
    // No picture is better than none of the others.
  }
}
