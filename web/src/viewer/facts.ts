/** What is known of a photo, as people read it. */

import type { Exif } from "./photo";

/** "f/1.8 · 1/200 s · 35 mm · ISO 100", as far as it is known. */
export function exposure(exif: Exif, language: string): string {
  const { f_number: f, exposure_time: time, focal_length: focal, iso } = exif;
  const number = (value: number) => value.toLocaleString(language, { maximumFractionDigits: 1 });
  return [f && `f/${number(f)}`, time && `${time} s`, focal && `${number(focal)} mm`, iso && `ISO ${iso}`]
    .filter(Boolean)
    .join(" · ");
}

/** "image/heic" is "HEIC". */
export function kindOf(type: string): string {
  return type.replace(/^image\//, "").toUpperCase();
}

/** "12 MP" has 12; Korean counts in ten thousands: "1,219만 화소". */
export function megapixels(width: number, height: number, language: string): string {
  const pixels = width * height;
  if (language === "ko") return `${Math.round(pixels / 1e4).toLocaleString(language)}만`;
  return (pixels / 1e6).toLocaleString(language, { maximumFractionDigits: pixels < 1e7 ? 1 : 0 });
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** Of a file, in the units that people's file managers show. */
export function sizeOf(bytes: number, language: string): string {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  const digits = power === 0 || value >= 100 ? 0 : 1;
  const form = { style: "unit", unit: UNITS[power], unitDisplay: "short", maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(language, form).format(value);
}

export function mapOf(latitude: number, longitude: number): string {
  const place = `${latitude.toFixed(6)}/${longitude.toFixed(6)}`;
  return `https://www.openstreetmap.org/?mlat=${latitude.toFixed(6)}&mlon=${longitude.toFixed(6)}#map=15/${place}`;
}

/** "37.5665° N, 126.9780° E" */
export function placeOf(latitude: number, longitude: number): string {
  const one = (degrees: number, positive: string, negative: string) =>
    `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
  return `${one(latitude, "N", "S")}, ${one(longitude, "E", "W")}`;
}
