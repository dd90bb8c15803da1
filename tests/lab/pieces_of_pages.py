"""Pieces of HTML that make a browser ask another machine, and such that do not; ``x.test`` is no real name."""

#: A browser fetches these by itself.
FETCHED = [
    "<script src='https://x.test/a.js'></script>",
    "<SCRIPT SRC=HTTPS://X.TEST/a.js></SCRIPT>",
    "<img src='//x.test/a.png'>",
    "<img src='\\\\x.test/a.png'>",
    "<img src='/\\x.test/a.png'>",
    "<img src=' \x01\thttps://x.test/a.png'>",
    "<img src='ht\ntps://x.test/a.png'>",
    "<img src='https:/x.test/a.png'>",
    "<img/src=https://x.test/a.png>",
    "<img src='https://x.test/a.png' src='a.png'>",
    "<img srcset='https://x.test/a.png 1x, a.png 2x'>",
    "<picture><source srcset='https://x.test/a.png'><img src='a.png'></picture>",
    "<video poster='https://x.test/a.png'></video>",
    "<video><source src='https://x.test/a.mp4'></video>",
    "<audio preload=auto src='https://x.test/a.mp3'></audio>",
    "<object data='https://x.test/a.svg'></object>",
    "<embed src='https://x.test/a.svg'>",
    "<iframe src='https://x.test/'></iframe>",
    "<iframe srcdoc='&lt;img src=&quot;https://x.test/a.png&quot;>'></iframe>",
    "<input type=image src='https://x.test/a.png'>",
    "<link rel='Stylesheet' href='https://x.test/a.css'>",
    "<link rel='alternate stylesheet' href='https://x.test/a.css'>",
    "<link rel=modulepreload href='https://x.test/a.js'>",
    "<link rel=preload as=image imagesrcset='https://x.test/a.png 1x'>",
    "<link rel=prefetch href='https://x.test/'>",
    "<table background='https://x.test/a.png'><tr><td>a</table>",
    "<div style='background: url(https://x.test/a.png)'>a</div>",
    r"<div style='background: \75rl(https://x.test/a.png)'>a</div>",
    "<div style='background: image-set(&quot;https://x.test/a.png&quot; 1x)'>a</div>",
    "<style>@import '//x.test/a.css';</style>",
    "<style>p { background: url(//x.test/a.png) }</style>",
    "<svg><image href='https://x.test/a.png' width=9 height=9 /></svg>",
    "<svg><image xlink:href='https://x.test/a.png' width=9 height=9 /></svg>",
    "<svg><script href='https://x.test/a.js'></script></svg>",
    "<svg><style><img src='https://x.test/a.png'></style></svg>",
    "<meta http-equiv='Refresh' content='0; URL=https://x.test/'>",
    "<meta http-equiv=refresh content='0;https://x.test/'>",
    "<base href='https://x.test/'><img src='a.png'>",
    "<!--><img src='https://x.test/a.png'>-->",
    "<!-- --!><img src='https://x.test/a.png'>-->",
    "<![CDATA[><img src='https://x.test/a.png'>]]>",
    "<script></script ><img src='https://x.test/a.png'>",
    "<style></style/x><img src='https://x.test/a.png'>",
    "<noscript></noscript><img src='https://x.test/a.png'>",
]

#: These are sent when a reader presses or follows something.
SENT = [
    "<a href='a.html' ping='https://x.test/'>a</a>",
    "<form action='https://x.test/'><button>a</button></form>",
    "<form><button formaction='//x.test/'>a</button></form>",
    "<form action='javascript:alert(1)'><button>a</button></form>",
]

#: Other browsers may fetch these, or read them off this machine or from inside the page.
UNUSUAL = [
    "<img src='file:///etc/hosts'>",
    "<img src='http://127.0.0.1/a.png'>",
    "<img src='ftp://x.test/a.png'>",
    "<img lowsrc='https://x.test/a.png'>",
    "<iframe src='data:text/html,&lt;p>a'></iframe>",
    "<iframe src='javascript:1'></iframe>",
    "<link rel=stylesheet href='data:text/css,p{}'>",
    "<link rel=dns-prefetch href='//x.test'>",
    "<link rel=preconnect href='https://x.test'>",
    "<svg><use href='https://x.test/a.svg#a'/></svg>",
    "<svg><rect fill='url(https://x.test/a.svg#a)' /></svg>",
    "<svg><a><animate attributeName=href values='javascript:1' /></a></svg>",
    "<applet archive='a.jar,https://x.test/a.jar'></applet>",
]

#: Links that run something, or open what lies on the reader's machine, when they are followed.
LINKS = [
    "<a href='javascript:alert(1)'>a</a>",
    "<a href=' Java\nScript:alert(1)'>a</a>",
    "<a href='data:text/html,a'>a</a>",
    "<area href='vbscript:a'>",
    "<a href='file:///etc/hosts'>a</a>",
    "<svg><a xlink:href='javascript:alert(1)'>a</a></svg>",
]

#: Nothing is wrong with these.
OWN = [
    "<a href='https://x.test/'>a</a> <a href='//x.test/'>a</a> <a href='mailto:a@x.test'>a</a> <a href='#b'>a</a>",
    "<img src='a.png'> <img src='../_images/b%20c.png?d=https://x.test'> <img src='/root.png'>",
    "<img src='data:image/png;base64,AA=='> <img srcset='a.png 1x, b.png 2x'>",
    "<q cite='https://x.test/'>a</q>",
    "<link rel=canonical href='https://x.test/'> <link rel=search href='search.html'>",
    "<meta http-equiv=refresh content='0; url=intro.html'>",
    "<meta name=refresh content='0; https://x.test/'>",
    "<div style='background: url(a.png)' title='url(https://x.test/)'>src='https://x.test/'</div>",
    "&lt;img src='https://x.test/'&gt; <!-- <img src='a.png'> https://x.test -->",
    "<script>const a = 'https://x.test/' + '<b>';</script>",
    "<svg xmlns='http://www.w3.org/2000/svg'><use href='#a' /></svg>",
]
