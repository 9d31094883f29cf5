import { expect, test, vi } from "vitest";
import { declaredType, kindOf, looksAccepted } from "./formats";
import { presignBody, withOffset } from "./transport";
import { fromPicked } from "./upload";

// The session listens to other tabs, of which there are none here.
vi.hoisted(() => vi.stubGlobal("addEventListener", () => undefined));

function head(text: string): Uint8Array {
  return Uint8Array.from(text, (sign) => sign.charCodeAt(0));
}

test("images are told by their first bytes", () => {
  for (const one of ["\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n", "GIF89a", "RIFF\0\0\0\0WEBPVP8 ", "\0\0\0\x18ftypheic", "\0\0\0\x18ftypmif1"]) {
    expect(looksAccepted(head(one)), one).toBe(true);
  }
  for (const one of ["", "BM", "%PDF-1.7", "RIFF\0\0\0\0WAVE", "\0\0\0\x18ftypmp42", "\0\0\0\x18ftypqt  "]) {
    expect(looksAccepted(head(one)), one).toBe(false);
  }
});

test("names and types tell what may be an image", () => {
  expect(kindOf("IMG.HEIC", "")).toBe("image");
  expect(kindOf("scan.tiff", "image/tiff")).toBe("image");
  expect(kindOf("film.mp4", "video/mp4")).toBe("other");
  expect(kindOf("Thumbs.db", "")).toBe("clutter");
  expect(declaredType("IMG.HEIC", "")).toBe("");
  expect(declaredType("scan.tiff", "image/tiff")).toBeNull();
  expect(declaredType("a.jpg", "image/jpeg")).toBe("image/jpeg");
});

test("a time is told with the offset of its own day", () => {
  const zone = process.env["TZ"];
  try {
    process.env["TZ"] = "Europe/Paris";
    expect(withOffset(Date.UTC(2024, 6, 1, 12))).toBe("2024-07-01T14:00:00+02:00");
    expect(withOffset(Date.UTC(2024, 0, 1, 12))).toBe("2024-01-01T13:00:00+01:00");
    process.env["TZ"] = "America/St_Johns";
    expect(withOffset(Date.UTC(2024, 0, 1, 12))).toBe("2024-01-01T08:30:00-03:30");
  } finally {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  }
  expect(withOffset(Number.NaN)).toBeNull();
  expect(withOffset(8.64e15)).toBeNull();
});

test("a long name keeps its end, and the API's 255 characters", () => {
  const file = new File(["x"], `${"사".repeat(300)}.jpg`, { type: "image/jpeg" });
  const name = String(presignBody(fromPicked({ name: file.name, folder: "", file }, null))["filename"]);
  expect([...name].length).toBeLessThanOrEqual(255);
  expect(name.endsWith("사.jpg")).toBe(true);
});
