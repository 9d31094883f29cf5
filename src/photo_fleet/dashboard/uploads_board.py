"""What users bring, and what is made of it; and what else they do."""

from photo_fleet.dashboard.panel import (
    Board,
    Section,
    lines,
    quantile,
    rate,
    series,
    stack,
    total,
)

ENDED, WELL = "photo_api_uploads_total", 'result="ok"'
BEGUN, BEYOND = "photo_api_presigned_uploads_total", 'result="quota_exceeded"'
JOBS = "photo_api_job_duration_seconds"

UPLOADS = Section(
    "Uploads",
    (
        stack(
            "Uploads by result",
            "Through the server with any result; direct ones when they are confirmed.",
            "ops",
            (
                f"{total(rate(ENDED), 'way, result')} > 0"
                f" or {total(rate(ENDED, WELL), 'way, result')}",
                "{{way}}: {{result}}",
            ),
        ),
        stack(
            "Bytes that arrived",
            "Of the uploads that ended well.",
            "Bps",
            (total(rate("photo_api_uploaded_bytes_total"), "way"), "{{way}}"),
        ),
        lines(
            "Direct uploads begun and confirmed",
            "Begun but never confirmed ones are swept.",
            "ops",
            (total(rate(BEGUN, WELL)), "begun"),
            (total(rate("photo_api_confirms_total", WELL)), "confirmed"),
        ),
        lines(
            "Confirmations refused",
            "By the code that clients got.",
            "ops",
            (total(rate("photo_api_confirms_total", 'result!="ok"'), "result"), "{{result}}"),
        ),
        lines(
            "Uploads beyond a quota",
            "Refused since the photos of their user take all that they may.",
            "ops",
            (total(rate(BEGUN, BEYOND)), "direct"),
            (total(rate(ENDED, BEYOND)), "through the server"),
        ),
        lines(
            "Uploads that wait for their confirmation",
            "Direct uploads that have begun.",
            "short",
            (f"max({series('photo_api_fleet_pending_uploads')})", "waiting"),
        ),
        lines(
            "Age of the oldest of them",
            "Beyond the URL's time and the longest PUT the sweep does not run.",
            "s",
            (f"max({series('photo_api_fleet_oldest_pending_upload_seconds')})", "oldest"),
        ),
    ),
)

RENDITIONS = Section(
    "Renditions and other jobs",
    (
        lines(
            "Duration of jobs that succeeded",
            "What 95 % of each kind need at most.",
            "s",
            (quantile(0.95, JOBS, 'result="done"', "kind"), "{{kind}}"),
        ),
        stack(
            "Jobs by result",
            "Refused: the file is at fault. Failed: tried again, or dead. Postponed: a dependency"
            " is down.",
            "ops",
            (total(rate(f"{JOBS}_count"), "result"), "{{result}}"),
        ),
        stack(
            "Jobs by state",
            "They wait, are at work, or have failed too often.",
            "short",
            (
                f"max by (state) (sum by (instance, state) ({series('photo_api_fleet_jobs')}))",
                "{{state}}",
            ),
        ),
        lines(
            "Oldest job that waits",
            "For how long the oldest one that may run has been waiting.",
            "s",
            (f"max by (kind) ({series('photo_api_fleet_oldest_job_seconds')})", "{{kind}}"),
        ),
        lines(
            "Photos without thumbnail",
            "And without a job that makes one, though their file is not at fault.",
            "short",
            (f"max({series('photo_api_fleet_photos_without_thumbnail')})", "photos"),
        ),
        lines(
            "Objects due for deletion",
            "What the sweep has yet to delete, and what the store has kept in spite of it.",
            "short",
            (f"max({series('photo_api_fleet_orphan_objects')})", "due"),
            (f"max({series('photo_api_fleet_kept_orphan_objects')})", "kept"),
        ),
        lines(
            "Bytes due for deletion",
            "Of the originals among them.",
            "bytes",
            (f"max({series('photo_api_fleet_orphan_bytes')})", "originals"),
        ),
        lines(
            "Oldest object due for deletion",
            "For how long it has been; hours mean that the sweep does not keep up.",
            "s",
            (f"max({series('photo_api_fleet_oldest_orphan_seconds')})", "oldest"),
        ),
    ),
)

PEOPLE = Section(
    "People",
    (
        lines(
            "Logins",
            "By e-mail and password.",
            "ops",
            (total(rate("photo_api_logins_total", WELL)), "let in"),
            (total(rate("photo_api_logins_total", 'result="invalid_credentials"')), "wrong"),
            (
                total(rate("photo_api_logins_total", 'result=~"too_many_requests|overloaded"')),
                "throttled",
            ),
        ),
        stack(
            "Access tokens looked at",
            "Cached ones cost no statement.",
            "ops",
            (total(rate("photo_api_token_checks_total"), "result"), "{{result}}"),
        ),
        stack(
            "Share links opened",
            "By people, or by programs: previews, search engines, HEAD.",
            "ops",
            (total(rate("photo_api_share_views_total"), "by"), "{{by}}"),
        ),
        stack(
            "Signed URLs handed out",
            "From the cache or newly signed.",
            "ops",
            (
                total(rate("photo_api_read_urls_total"), "readers, source"),
                "{{readers}}: {{source}}",
            ),
        ),
        stack(
            "Images, by their way",
            "URLs of the CDN or of the store, in lists and by redirects; what goes through servers,"
            " and what they refused since too many were.",
            "ops",
            (total(rate("photo_api_read_urls_total"), "way"), "{{way}}"),
            (total(rate("photo_api_streamed_images_total"), "result"), "streamed: {{result}}"),
        ),
        lines(
            "Images being streamed",
            "PHOTO_API_MAX_STREAMS bounds them in each worker.",
            "short",
            (total(series("photo_api_streams"), "instance"), "{{instance}}"),
        ),
        lines(
            "Memory of uploads through servers",
            "PHOTO_API_UPLOAD_MEMORY bounds it in each worker; at the bound others wait.",
            "bytes",
            (total(series("photo_api_upload_memory_held_bytes"), "instance"), "{{instance}}"),
        ),
    ),
)

UPLOADS_AND_RENDITIONS = Board(
    "photo-api-uploads",
    "Photo API: uploads and renditions",
    "What users bring, what is made of it, and what else they do.",
    (UPLOADS, RENDITIONS, PEOPLE),
)
