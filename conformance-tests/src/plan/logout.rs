//! RP-Initiated Logout OP and Back-Channel Logout OP.

use super::{Module, Plan, module};
use crate::catalogue::Feature;

pub(super) const RP_INITIATED: Plan = Plan {
    id: "rp-initiated-logout",
    title: "RP-Initiated Logout OP",
    name: "oidcc-rp-initiated-logout-certification-test-plan",
    response_mode: None,
    modules: RP_MODULES,
};

pub(super) const BACK_CHANNEL: Plan = Plan {
    id: "back-channel-logout",
    title: "Back-Channel Logout OP",
    name: "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
    response_mode: None,
    modules: BACK_CHANNEL_MODULES,
};

const LOGOUT: &str = "RP-Initiated Logout";

const END_SESSION: &[Feature] = &[Feature::Member("end_session_endpoint")];
const BACK_CHANNEL_FLAG: &[Feature] = &[Feature::Flag("backchannel_logout_supported")];

const RP_MODULES: &[Module] = &[
    module(
        "oidcc-rp-initiated-logout-discovery-endpoint-verification",
        (LOGOUT, "2.1"),
        "The configuration has end_session_endpoint, besides all else.",
        &[
            "rp-initiatedlogout-2.1-metadata",
            "oidcdiscovery-3-required",
            "oidcdiscovery-4.3-issuer-identical",
        ],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout",
        (LOGOUT, "2"),
        "The person is signed out and sent to the app, with state.",
        &[
            "rp-initiatedlogout-2-methods",
            "rp-initiatedlogout-2-signed-out",
            "rp-initiatedlogout-3-redirect",
        ],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri",
        (LOGOUT, "3"),
        "A post_logout_redirect_uri that is not registered leads nowhere.",
        &["rp-initiatedlogout-3-registered"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-modified-id-token-hint",
        (LOGOUT, "2"),
        "A hint that was changed leads nowhere.",
        &["rp-initiatedlogout-2-hint-issued-here"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-no-id-token-hint",
        (LOGOUT, "3"),
        "Without a hint nobody is sent to the app.",
        &["rp-initiatedlogout-3-no-hint"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-no-params",
        (LOGOUT, "2"),
        "Without parameters the person is signed out at a page of the server.",
        &["rp-initiatedlogout-2-no-parameters"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-no-post-logout-redirect-uri",
        (LOGOUT, "2"),
        "Without post_logout_redirect_uri the person is signed out at a page of the server.",
        &["rp-initiatedlogout-2-no-redirect"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-no-state",
        (LOGOUT, "3"),
        "Without state the person is sent to the app without one.",
        &[
            "rp-initiatedlogout-3-redirect",
            "rp-initiatedlogout-2-signed-out",
        ],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-only-state",
        (LOGOUT, "2"),
        "With state alone the person is signed out at a page of the server.",
        &["rp-initiatedlogout-2-only-state"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri",
        (LOGOUT, "3"),
        "A post_logout_redirect_uri with a query that is not registered leads nowhere.",
        &["rp-initiatedlogout-3-registered"],
    )
    .when(END_SESSION),
    module(
        "oidcc-rp-initiated-logout-bad-id-token-hint",
        (LOGOUT, "2"),
        "A hint that the server did not issue leads nowhere.",
        &["rp-initiatedlogout-2-hint-issued-here"],
    )
    .when(END_SESSION),
];

const BACK_CHANNEL_MODULES: &[Module] = &[
    module(
        "oidcc-backchannel-logout-discovery-endpoint-verification",
        ("Back-Channel Logout", "2.1"),
        "The configuration has backchannel_logout_supported, besides all else.",
        &[
            "back-channellogout-2.1-metadata",
            "rp-initiatedlogout-2.1-metadata",
            "oidcdiscovery-3-required",
            "oidcdiscovery-4.3-issuer-identical",
        ],
    )
    .when(BACK_CHANNEL_FLAG),
    module(
        "oidcc-backchannel-rp-initiated-logout",
        ("Back-Channel Logout", "2.5"),
        "When the person signs out, the app is sent a logout token as it should be.",
        &[
            "back-channellogout-2.4-logout-token",
            "back-channellogout-2.5-request",
            "back-channellogout-2.4-sid",
        ],
    )
    .when(BACK_CHANNEL_FLAG),
];
