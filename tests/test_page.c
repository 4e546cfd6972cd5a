/* test_page.c -- a report as JUnit's XML and as a page: well-formed whatever names are in it, every finding
 * and row there, counts right.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/check.h"
#include "verify/report/junit.h"
#include "verify/report/page.h"

/* Elements open and close in order, attributes are quoted, nothing is bare that must be escaped. NULL, or
 * where it is not so. voids: names that have no end in HTML. */
static const char *ill_formed(const char *s, const char *voids)
{
	char stack[32][32], name[32], pattern[40];
	int depth = 0;
	size_t n;

	for (; *s; s++) {
		if (*s == '>' || *s == '"')
			continue; /* in text they may be bare */
		if (*s == '&') {
			n = strcspn(s, ";");
			if (n > 6 || !s[n])
				return s;
		}
		if (*s != '<')
			continue;
		if (s[1] == '?' || s[1] == '!') {
			s = strchr(s, '>');
			if (!s)
				return "cut";
			continue;
		}
		n = strcspn(s + 1 + (s[1] == '/'), " >/\n");
		if (!n || n >= sizeof name)
			return s;
		snprintf(name, sizeof name, "%.*s", (int)n, s + 1 + (s[1] == '/'));
		if (s[1] == '/') {
			if (!depth || strcmp(stack[--depth], name) != 0)
				return s;
		} else if (depth == 32) {
			return s;
		} else {
			snprintf(pattern, sizeof pattern, " %s ", name);
			if (!strstr(voids, pattern))
				snprintf(stack[depth++], sizeof *stack, "%s", name);
		}
		for (; *s && *s != '>'; s++)
			if (*s == '"') {
				s = strchr(s + 1, '"');
				if (!s)
					return "a quote that is not closed";
			} else if (*s == '<' && s[1] == '<') {
				return s;
			}
		if (s[-1] == '/' && depth)
			depth--;
	}
	return depth ? "something is not closed" : NULL;
}

static unsigned count(const char *s, const char *what)
{
	unsigned n = 0;

	for (s = strstr(s, what); s; s = strstr(s + 1, what))
		n++;
	return n;
}

static const char *const hostile[] = { "<script>alert(1)</script>", "a&b", "\"quoted\" 'twice'",
	"\x1b[31mred", "bad\xff\xfeutf8", "]]>", "-->", "plain.safetensors", "\xc3\xa9t\xc3\xa9",
	"</td></table><h1>" };
enum { HOSTILE = sizeof hostile / sizeof *hostile };

static void fill(struct report *r, bool findings)
{
	char *call[] = { "dsv4-verify", "check", "a\nb" };
	struct report_place at = { 0 };
	struct err e = { 0 };
	size_t i;

	report_begin(r, "dsv4-verify 0", "check", hostile[0], hostile[2]);
	report_call(r, 3, call, 1000000000, 1.5);
	r->grid.title = hostile[0];
	CHECK(!grid_add(&r->grid, "layers.0.ffn.experts.1.w1", 2, &e));
	CHECK(!grid_add(&r->grid, "layers.0.ffn.experts.0.w1", 0, &e));
	CHECK(!grid_add(&r->grid, "layers.1.attn.wq", 1e-9, &e));
	for (i = 0; i < HOSTILE; i++) {
		report_row(r, "files", hostile[i], i, 1000 * i, hostile[(i + 1) % HOSTILE]);
		report_row(r, "roles", hostile[i], 1, 1 + i, NULL);
		at = (struct report_place){ hostile[i], i, 2 * i, hostile, i };
		if (findings)
			report_add(r,
				i % 3           ? RULE_CHECK_MISSING
					: i % 2 ? RULE_CHECK_NO_DIGEST
						: RULE_CKPT_CHANGED,
				&at, "cause %s", text_quote(hostile[i]).s);
	}
	if (findings) {
		at.file = "nowhere";
		report_add(r, RULE_CHECK_MISSING, &at, "not in files");
		report_add(r, RULE_CHECK_MISSING, &at, "nor this");
		report_add(r, RULE_CHECK_MISSING, NULL, "about the whole");
	}
}

static void junit(void)
{
	struct report r;
	struct text t = { 0 };
	const char *bad;

	fill(&r, true);
	junit_put(&r, &t);
	text_put(&t, "", 1);
	bad = ill_formed(t.s, " ");
	CHECK_IN(bad ? bad : "", !bad);
	CHECK(count(t.s, "<testcase") == HOSTILE + 2); /* the files, the whole, nowhere */
	/* of the hostile names 1, 2, 4, 5, 7, 8 have errors, 0 and 6 could not be told, 3 and 9 are warned of;
	 * then the whole and "nowhere" */
	CHECK(strstr(t.s,
		"tests=\"12\" failures=\"8\" errors=\"2\" skipped=\"0\" time=\"1.500\" "
		"timestamp=\"2001-09-09T01:46:40\""));
	CHECK(count(t.s, "<failure") == 8 && count(t.s, "<error") == 2 &&
		count(t.s, "<system-out") == 2);
	CHECK(strstr(t.s, "check.missing: not in files") && strstr(t.s, "check.missing: nor this"));
	CHECK(!strstr(t.s, "<script") && !strchr(t.s, 0x1b) && !strchr(t.s, '\xff'));
	CHECK(strstr(t.s, "\\x1b[31mred") && strstr(t.s, "bad\\xff\\xfeutf8"));
	text_free(&t);
	report_free(&r);
	fill(&r, false);
	junit_put(&r, &t);
	text_put(&t, "", 1);
	CHECK(count(t.s, "<testcase") == HOSTILE + 1 && !strstr(t.s, "<failure"));
	text_free(&t);
	report_free(&r);
}

static void html(void)
{
	struct report r;
	struct text t = { 0 };
	const char *bad;

	fill(&r, true);
	page_put(&r, &t);
	text_put(&t, "", 1);
	bad = ill_formed(t.s, " meta ");
	CHECK_IN(bad ? bad : "", !bad);
	CHECK(count(t.s, "class=\"finding ") == r.n_groups);
	CHECK(count(t.s, "<div style") == HOSTILE && count(t.s, "<tr") == 2 * HOSTILE + 2);
	CHECK(count(t.s, "<tr class=\"bad\"") == 8 && count(t.s, "(see findings)") == 8);
	CHECK(count(t.s, "<rect") == 3 &&
		count(t.s, "class=\"h8\"") == 2); /* 2, a 0, a 1e-9; the legend */
	CHECK(strstr(t.s, "<title>false: check &lt;script&gt;alert(1)&lt;/script&gt; against "));
	CHECK(strstr(t.s, "<dd>dsv4-verify check a\\x0ab</dd>") &&
		strstr(t.s, "2001-09-09 01:46:40 UTC"));
	CHECK(strstr(t.s, "id=\"verdict\">false<"));
	CHECK(!strstr(t.s, "<script") && !strstr(t.s, "http:") && !strstr(t.s, "https:") &&
		!strstr(t.s, "url("));
	CHECK(count(t.s, "</th>") >= 6); /* heads of all columns */
	CHECK(strstr(t.s, "prefers-color-scheme:dark") && strstr(t.s, "width=device-width"));
	text_free(&t);
	report_free(&r);
	fill(&r, false);
	page_put(&r, &t);
	text_put(&t, "", 1);
	CHECK(strstr(t.s, "id=\"verdict\">true<") && !strstr(t.s, "Findings"));
	text_free(&t);
	report_free(&r);
}

/* The checker of this test itself. */
static void checker(void)
{
	CHECK(!ill_formed("<a><b x=\"<\"/>t</a>", " "));
	CHECK(ill_formed("<a><b></a></b>", " "));
	CHECK(ill_formed("<a>", " "));
	CHECK(ill_formed("<a x=\"1></a>", " "));
	CHECK(ill_formed("<a>x & y</a>", " "));
	CHECK(ill_formed("</a>", " "));
}

static const struct test tests[] = { { "page: checker", checker }, { "page: junit", junit },
	{ "page: html", html }, { 0 } };
TEST_MAIN(tests)
