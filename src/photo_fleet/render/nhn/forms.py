"""The console's forms for a spec, each value with its name in English and in Korean.

Names and order are those of NHN Cloud's guides: "Network > Security Groups", "Network > Load
Balancer", "Compute > Instance Template" and "Compute > Auto Scale", each the "Console Guide".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from photo_api.contract import METRICS_PATH
from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.nhn import FAILED_AFTER

MOST_SESSIONS = 60_000
"""That a general load balancer keeps at the same time."""
HIDDEN = (METRICS_PATH, "/health/detailed", "/api/health/detailed")
"""What only operators read."""
METHODS = {"round-robin": "ROUND_ROBIN", "least-connections": "LEAST_CONNECTIONS"}


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages."""

    en: str
    ko: str


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a form. `key` is where the value stands in the spec; empty where it does not."""

    field: Words
    value: str | Words
    key: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A part of the console, in the order of its fields."""

    title: Words
    rows: tuple[Row, ...]
    note: Words | None = None


OWN = Words("(yours)", "(직접 선택)")
USE, NOT_USED = Words("Use", "사용"), Words("Not used", "사용 안 함")
NAME, PROTOCOL = Words("Name", "이름"), Words("Protocol", "프로토콜")
DIRECTION, INGRESS = Words("Direction", "방향"), Words("Ingress", "수신")


def forms(fleet: Fleet) -> list[Form]:
    """All of them, in the order in which they need each other."""
    return [
        _security_group(fleet),
        _load_balancer(fleet),
        _listener(fleet),
        _redirect(fleet),
        *_hidden_paths(),
        _member_group(fleet),
        _health_check(fleet),
        _template(fleet),
        _scaling_group(fleet),
        *_policies(fleet),
        _rest(fleet),
    ]


def _security_group(fleet: Fleet) -> Form:
    port = str(fleet.service.port)
    return Form(
        Words(
            "Network > Security Groups > Create Security Rules",
            "Network > Security Groups > 보안 규칙 생성",
        ),
        (
            Row(NAME, fleet.name, "name"),
            Row(DIRECTION, INGRESS),
            Row(Words("IP protocol", "IP 프로토콜"), "TCP"),
            Row(Words("Port range", "포트 범위"), port, "service.port"),
            Row(
                Words("Remote", "원격"),
                Words(
                    "the load balancer's subnet, Prometheus, and this security group itself",
                    "로드 밸런서의 서브넷, Prometheus, 그리고 이 보안 그룹 자신",
                ),
            ),
        ),
        Words(
            "One rule for each remote. Instances ask each other before they declare one lost.",
            "원격마다 규칙을 하나씩 만듭니다. 인스턴스는 다른 인스턴스를 잃었다고 판단하기 전에 서로 확인합니다.",
        ),
    )


def _load_balancer(fleet: Fleet) -> Form:
    return Form(
        Words(
            "Network > Load Balancer > Set up Load balancers",
            "Network > Load Balancer > 로드 밸런서 설정",
        ),
        (
            Row(Words("Mode", "모드"), Words("L7 Routing", "L7 라우팅")),
            Row(NAME, fleet.name, "name"),
            Row(Words("Type", "타입"), Words("General", "일반")),
            Row(Words("Network (Subnet)", "Network (Subnet)"), OWN),
        ),
    )


def _listener(fleet: Fleet) -> Form:
    balancer = fleet.balancer
    return Form(
        Words(
            "Network > Load Balancer > Listeners: HTTPS",
            "Network > Load Balancer > 리스너 설정: HTTPS",
        ),
        (
            Row(NAME, f"{fleet.name}-https", "name"),
            Row(PROTOCOL, "TERMINATED_HTTPS"),
            Row(Words("Load balancer port", "로드 밸런서 포트"), "443"),
            Row(Words("Default member group", "기본 멤버 그룹"), fleet.name, "name"),
            Row(Words("Connection limit", "연결 제한"), str(MOST_SESSIONS)),
            Row(
                Words("Keep-Alive timeout", "Keep-Alive 타임아웃"),
                f"{balancer.keep_alive:g}",
                "balancer.keep_alive",
            ),
            Row(Words("SSL Certificate", "SSL 인증서"), OWN),
        ),
        Words(
            f"The timeout has to be below service.keep_alive ({fleet.service.keep_alive:g} s), so that no request"
            " goes out on a connection that an instance is closing. Clients get the same one:"
            f" balancer.client_keep_alive ({balancer.client_keep_alive:g} s) cannot be entered. A dedicated"
            " load balancer takes up to 480000 connections.",
            f"타임아웃은 service.keep_alive({fleet.service.keep_alive:g}초)보다 짧아야 인스턴스가 닫는 중인 연결로"
            " 요청이 나가지 않습니다. 클라이언트 쪽에도 같은 값이 쓰이므로"
            f" balancer.client_keep_alive({balancer.client_keep_alive:g}초)는 입력할 수 없습니다. 전용 로드 밸런서는"
            " 연결을 480000개까지 받습니다.",
        ),
    )


def _redirect(fleet: Fleet) -> Form:
    return Form(
        Words(
            "Network > Load Balancer > Listeners: HTTP",
            "Network > Load Balancer > 리스너 설정: HTTP",
        ),
        (
            Row(NAME, f"{fleet.name}-http", "name"),
            Row(PROTOCOL, "HTTP"),
            Row(Words("Load balancer port", "로드 밸런서 포트"), "80"),
            Row(Words("Default member group", "기본 멤버 그룹"), NOT_USED),
            Row(
                Words("L7 rule: Action type", "L7 규칙: 작업 유형"),
                Words("Forward to URL, 301", "URL로 전달, 301"),
            ),
            Row(
                Words("L7 rule: Task target", "L7 규칙: 작업 대상"),
                "HTTPS, 443, #{host}, #{path}, #{query}",
            ),
            Row(
                Words("L7 rule: Condition", "L7 규칙: 조건"),
                Words("Path STARTS_WITH /", "경로 STARTS_WITH /"),
            ),
        ),
    )


def _hidden_paths() -> Iterator[Form]:
    for path in HIDDEN:
        yield Form(
            Words(
                f"Network > Load Balancer > Listeners: HTTPS > L7 rule for {path}",
                f"Network > Load Balancer > 리스너 설정: HTTPS > L7 규칙({path})",
            ),
            (
                Row(Words("Action type", "작업 유형"), Words("Block", "차단")),
                Row(Words("Condition type", "조건 유형"), Words("Path", "경로")),
                Row(Words("Comparison method", "비교 방식"), "STARTS_WITH"),
                Row(Words("Value", "값"), path),
            ),
        )


def _member_group(fleet: Fleet) -> Form:
    return Form(
        Words(
            "Network > Load Balancer > Member Groups", "Network > Load Balancer > 멤버 그룹 설정"
        ),
        (
            Row(NAME, fleet.name, "name"),
            Row(PROTOCOL, "HTTP"),
            Row(Words("Member port", "멤버 포트"), str(fleet.service.port), "service.port"),
            Row(
                Words("Load Balancing Method", "로드 밸런싱 방식"),
                METHODS[fleet.balancer.algorithm],
                "balancer.algorithm",
            ),
            Row(
                Words("Session Persistence", "세션 지속성"),
                Words("No session persistence", "세션 지속성 없음"),
            ),
        ),
        Words(
            "Its id becomes group.nhn.pool. Instances change their own members in it; do not add any by"
            " hand.",
            "이 멤버 그룹의 ID가 group.nhn.pool이 됩니다. 인스턴스가 자기 멤버를 직접 바꾸므로 멤버를 손으로"
            " 추가하지 마십시오.",
        ),
    )


def _health_check(fleet: Fleet) -> Form:
    check = fleet.health_check
    return Form(
        Words(
            "Network > Load Balancer > Member Groups > Health Check",
            "Network > Load Balancer > 멤버 그룹 설정 > 상태 확인",
        ),
        (
            Row(Words("Health Check Protocol", "상태 확인 프로토콜"), "HTTP"),
            Row(Words("Health Check Port", "상태 확인 포트"), Words("Member port", "멤버 포트")),
            Row(Words("HTTP Method", "HTTP 메서드"), "GET"),
            Row(Words("HTTP Status Code", "HTTP 상태 코드"), "200"),
            Row(Words("URL", "URL"), check.path, "health_check.path"),
            Row(
                Words("Health Check Cycle (s)", "상태 확인 주기(초)"),
                f"{check.interval:g}",
                "health_check.interval",
            ),
            Row(
                Words("Maximum Wait Time for Response (s)", "최대 응답 대기 시간(초)"),
                f"{check.timeout:g}",
                "health_check.timeout",
            ),
            Row(
                Words("Maximum Number of Retries", "최대 재시도 횟수"),
                str(check.unhealthy),
                "health_check.unhealthy",
            ),
        ),
    )


def _template(fleet: Fleet) -> Form:
    return Form(
        Words(
            "Compute > Instance Template > Create",
            "Compute > Instance Template > 인스턴스 템플릿 생성",
        ),
        (
            Row(NAME, fleet.name, "name"),
            Row(
                Words("Image", "이미지"),
                Words("(yours) Debian 12 or newer", "(직접 선택) Debian 12 이상"),
            ),
            Row(Words("Availability area", "가용성 영역"), OWN),
            Row(Words("Instance name", "인스턴스 이름"), fleet.name, "name"),
            Row(Words("Instance Type", "인스턴스 타입"), OWN),
            Row(Words("Key pair", "키 페어"), OWN),
            Row(Words("Block storage type", "블록 스토리지 타입"), OWN),
            Row(Words("Block storage size (GB)", "블록 스토리지 크기(GB)"), OWN),
            Row(
                Words("Network", "네트워크"),
                Words(
                    "(yours) the first one is the load balancer's",
                    "(직접 선택) 첫 번째가 로드 밸런서와 같은 네트워크",
                ),
            ),
            Row(Words("Floating IP", "플로팅 IP"), NOT_USED),
            Row(Words("Security Group", "보안 그룹"), fleet.name, "name"),
            Row(Words("Additional block storage", "추가 블록 스토리지"), Words("None", "없음")),
            Row(
                Words("User script", "예약 스크립트"),
                Words(
                    "the text of `cloud-init/user-data.yaml`", "`cloud-init/user-data.yaml`의 내용"
                ),
            ),
        ),
        Words(
            "A template cannot be changed. After a change of the spec make another, and let the group use"
            " it.",
            "템플릿은 수정할 수 없습니다. 스펙이 바뀌면 새 템플릿을 만들고 스케일링 그룹이 그것을 쓰게 합니다.",
        ),
    )


def _scaling_group(fleet: Fleet) -> Form:
    group = fleet.group
    return Form(
        Words(
            "Compute > Auto Scale > Create Scaling Groups > Setting",
            "Compute > Auto Scale > 스케일링 그룹 생성 > 설정",
        ),
        (
            Row(NAME, fleet.name, "name"),
            Row(Words("Instance Template", "인스턴스 템플릿"), fleet.name, "name"),
            Row(Words("Minimum Instance", "최소 인스턴스"), str(group.min), "group.min"),
            Row(Words("Maximum Instance", "최대 인스턴스"), str(group.max), "group.max"),
            Row(Words("Running Instance", "구동 인스턴스"), str(group.desired), "group.desired"),
        ),
    )


def _policies(fleet: Fleet) -> Iterator[Form]:
    for is_out, en, ko in (
        (True, "Scale-out policy", "증설 정책"),
        (False, "Scale-in policy", "감축 정책"),
    ):
        pairs = list(enumerate(fleet.group.policies))
        cpu = [(place, rule) for place, rule in pairs if rule.metric == "cpu"]  # the others: check
        rules = [(place, rule) for place, rule in cpu if rule.is_scale_out is is_out]
        if not rules:
            continue
        place, first = rules[0]
        key = f"group.policies[{place}]"
        yield Form(
            Words(
                f"Compute > Auto Scale > Create Scaling Groups > {en}",
                f"Compute > Auto Scale > 스케일링 그룹 생성 > {ko}",
            ),
            (
                *(_condition(number, rule) for number, rule in rules),
                Row(Words("Conditional Operator", "조건 연산자"), "or"),
                Row(Words("Adjust instance", "인스턴스 조정"), f"{first.step:+d}", f"{key}.step"),
                Row(
                    Words("Cooldown Period", "재사용 대기 시간"),
                    _time(first.cooldown),
                    f"{key}.cooldown",
                ),
            ),
        )


def _condition(place: int, rule: Policy) -> Row:
    key = f"group.policies[{place}]"
    above, ko_above = (">=", "이상") if rule.is_scale_out else ("<=", "이하")
    time = _time(rule.duration)
    return Row(
        Words("Condition", "조건"),
        Words(
            f"CPU usage rate (%) {above} {rule.threshold:g}, continued time {time.en}",
            f"CPU 사용률(%) {rule.threshold:g} {ko_above}, 지속 시간 {time.ko}",
        ),
        f"{key}.threshold, {key}.duration",
    )


def _time(seconds: float) -> Words:
    if seconds % 60:
        return Words(f"{seconds:g} s", f"{seconds:g}초")
    return Words(f"{seconds / 60:g} min", f"{seconds / 60:g}분")


def _rest(fleet: Fleet) -> Form:
    return Form(
        Words(
            "Compute > Auto Scale > Create Scaling Groups > Further",
            "Compute > Auto Scale > 스케일링 그룹 생성 > 그 밖의 정책",
        ),
        (
            Row(Words("Auto healing", "자동 복구"), USE),
            Row(Words("Selected Load Balancer", "선택된 로드 밸런서"), fleet.name, "name"),
            Row(Words("Deploy linkage", "Deploy 연계"), NOT_USED),
        ),
        Words(
            f"Auto healing replaces a machine that tells no metrics for {FAILED_AFTER:g} s; it asks no"
            f" {fleet.group.replace_on} (group.replace_on). Connect the load balancer at creation: changing it"
            " later replaces all instances.",
            f"자동 복구는 성능 지표가 {FAILED_AFTER:g}초 동안 수집되지 않는 인스턴스를 교체하며"
            f" {fleet.group.replace_on}(group.replace_on)은 확인하지 않습니다. 로드 밸런서는 생성할 때 연결하십시오."
            " 나중에 바꾸면 모든 인스턴스가 교체됩니다.",
        ),
    )
