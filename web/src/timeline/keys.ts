import { firstFrom, neighbour, type Geometry } from "./geometry";

/** Where a key moves the focus from the photo `at`; null for keys that move nothing. */
export function target(key: string, geometry: Geometry, at: number, viewport: number): number | null {
  const end = geometry.top.length - 1;
  switch (key) {
    case "ArrowLeft":
      return Math.max(at - 1, 0);
    case "ArrowRight":
      return Math.min(at + 1, end);
    case "ArrowUp":
      return neighbour(geometry, at, false);
    case "ArrowDown":
      return neighbour(geometry, at, true);
    case "PageUp":
      return Math.min(firstFrom(geometry, geometry.top[at] - viewport * 0.8), at);
    case "PageDown":
      return Math.min(firstFrom(geometry, geometry.top[at] + viewport * 0.8), end);
    case "Home":
      return 0;
    case "End":
      return end;
    default:
      return null;
  }
}
