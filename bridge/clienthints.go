package bridge

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// clientHints are what navigator.userAgentData and the headers Sec-CH-UA tell:
// Emulation.UserAgentMetadata.
type clientHints struct {
	Brands          []brandVersion `json:"brands"`
	FullVersionList []brandVersion `json:"fullVersionList"`
	Platform        string         `json:"platform"`
	PlatformVersion string         `json:"platformVersion"`
	Architecture    string         `json:"architecture"`
	Bitness         string         `json:"bitness"`
	Model           string         `json:"model"`
	Mobile          bool           `json:"mobile"`
	FormFactors     []string       `json:"formFactors"`
}

type brandVersion struct {
	Brand   string `json:"brand"`
	Version string `json:"version"`
}

// newClientHints makes hints that agree with a user agent. What it does not tell
// is as Chromium, whose version is own, has it on this machine.
func newClientHints(userAgent, own string) clientHints {
	product := regexp.MustCompile(`Chrome/([\d.]+)`).FindStringSubmatch(userAgent)
	version := own
	if product != nil && major(product[1]) != major(own) {
		version = product[1]
	}
	brand, brandNumber := "", ""
	for token, name := range map[string]string{"Edg/": "Microsoft Edge", "OPR/": "Opera"} {
		if _, after, found := strings.Cut(userAgent, token); found {
			number, _, _ := strings.Cut(after, " ")
			brand, brandNumber = name, number
		}
	}
	h := clientHints{
		FullVersionList: brands(version, brand, brandNumber),
		Architecture:    map[string]string{"amd64": "x86", "386": "x86", "arm64": "arm", "arm": "arm"}[runtime.GOARCH],
		Bitness:         strconv.Itoa(strconv.IntSize),
		FormFactors:     []string{"Desktop"},
	}
	for _, b := range h.FullVersionList {
		h.Brands = append(h.Brands, brandVersion{b.Brand, major(b.Version)})
	}
	h.setPlatform(userAgent)
	return h
}

// major is the first part of a version.
func major(version string) string {
	first, _, _ := strings.Cut(version, ".")
	return first
}

// setPlatform reads the platform out of a user agent.
func (h *clientHints) setPlatform(userAgent string) {
	version := func(pattern string) string {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(userAgent); found != nil {
			return strings.ReplaceAll(found[1], "_", ".")
		}
		return ""
	}
	has := func(text string) bool { return strings.Contains(userAgent, text) }
	switch {
	case has("Windows"):
		h.Platform, h.PlatformVersion = "Windows", cmp.Or(version(`Windows NT ([\d.]+)`), "10.0")+".0"
	case has("Android"):
		h.Platform, h.PlatformVersion = "Android", version(`Android ([\d.]+)`)
		h.Model = version(`Android [\d.]+; ([^;)]+?)(?: Build/[^;)]*)?\)`)
		h.setMobile(has("Mobile"))
	case has("iPhone"), has("iPad"):
		h.Platform, h.PlatformVersion = "iOS", version(`OS ([\d_]+) like`)
		h.setMobile(has("iPhone"))
	case has("Macintosh"):
		h.Platform, h.PlatformVersion = "macOS", version(`Mac OS X ([\d_.]+)`)
	case has("CrOS"):
		h.Platform, h.PlatformVersion = "Chrome OS", version(`CrOS \S+ ([\d.]+)`)
	case has("Linux"):
		h.Platform = "Linux"
	default:
		h.Platform = map[string]string{"windows": "Windows", "darwin": "macOS"}[runtime.GOOS]
		h.Platform = cmp.Or(h.Platform, "Linux")
	}
}

func (h *clientHints) setMobile(phone bool) {
	h.Architecture, h.Bitness, h.Mobile, h.FormFactors = "", "", phone, []string{"Tablet"}
	if phone {
		h.FormFactors = []string{"Mobile"}
	}
}

// brands is the list of brands with their full versions, in the order and with
// the brand that stands for nothing that Chromium has in this version
// (components/embedder_support/user_agent_utils.cc).
func brands(version, brand, brandNumber string) []brandVersion {
	seed, _ := strconv.Atoi(major(version))
	characters, versions := []string{" ", "(", ":", "-", ".", "/", ")", ";", "=", "?", "_"}, []string{"8", "99", "24"}
	list := []brandVersion{
		{"Not" + characters[seed%len(characters)] + "A" + characters[(seed+1)%len(characters)] + "Brand", versions[seed%len(versions)] + ".0.0.0"},
		{"Chromium", version},
	}
	orders := [][]int{{0, 1}, {1, 0}}
	if brand != "" {
		list = append(list, brandVersion{brand, brandNumber})
		orders = [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	}
	out := make([]brandVersion, len(list))
	for i, place := range orders[seed%len(orders)] {
		out[place] = list[i]
	}
	return out
}

// headers are the hints that requests have without being asked, by lower-case
// names.
func (h clientHints) headers() map[string]string {
	if len(h.Brands) == 0 {
		return nil
	}
	var list []string
	for _, b := range h.Brands {
		list = append(list, fmt.Sprintf(`%q;v=%q`, b.Brand, b.Version))
	}
	mobile := "?0"
	if h.Mobile {
		mobile = "?1"
	}
	return map[string]string{"sec-ch-ua": strings.Join(list, ", "), "sec-ch-ua-mobile": mobile, "sec-ch-ua-platform": strconv.Quote(h.Platform)}
}
