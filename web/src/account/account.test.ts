import { expect, test } from "vitest";
import { emailProblem, nameProblem, passwordProblem } from "./checks";
import { deviceOf } from "./device";

test("devices go by the names that people know", () => {
  const of = (agent: string | null) => Object.values(deviceOf(agent)).join(" · ");
  const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
  expect(of(`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/140.0 Safari/537.36 Edg/140.0`)).toBe("Edge · Windows");
  expect(of(`Mozilla/5.0 (Linux; Android 15; SM-S931N) ${webkit} SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36`)).toBe("Samsung Internet · Android");
  expect(of("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1")).toBe("Safari · iPhone");
  expect(of("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")).toBe("Firefox · Linux");
  expect(of(`Mozilla/5.0 (Linux; Android 15) ${webkit} Version/4.0 Chrome/140.0 Mobile Safari/537.36;KAKAOTALK 2511080`)).toBe("KakaoTalk · Android");
  expect(deviceOf("python-httpx/0.28")).toEqual({ browser: null, system: null });
  expect(deviceOf(null)).toEqual({ browser: null, system: null });
});

test("an account's fields are checked as the API does", () => {
  expect(["mina@example.org", " mina@example.org ", "미나@예시.한국"].map(emailProblem)).toEqual([null, null, null]);
  expect(["", "mina", "mina@example", "a b@example.org", "a@@example.org", "a@example..org"].every(emailProblem)).toBe(true);
  expect(["미나", "x".repeat(100)].map(nameProblem)).toEqual([null, null]);
  expect(["", " m ", "x".repeat(101)].every(nameProblem)).toBe(true);
  expect([passwordProblem(""), passwordProblem("1234567"), passwordProblem("x".repeat(101))]).toEqual([
    "sign.password_needed", "sign.password_short", "sign.password_long",
  ]);
  // Four clusters that are eight characters, and seven ligatures that are more.
  expect(["👍🏽👍🏽👍🏽👍🏽", "ﬃﬃﬃ", "12345678"].map(passwordProblem)).toEqual([null, null, null]);
});
