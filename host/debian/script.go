package debian

// Maintainer scripts do not run: they expect a system to change, and rights. But
// what they make of users, directories and links is mostly said in commands that
// can be read without running them. So a script is read as a list of simple
// commands, with its variables and its loops over words, and without its
// conditions: a tree is new, and who obeys makes only what is not there yet.
// A command with a word that only a run would tell is passed over.

import "strings"

// maxCommands is how many commands a script may come to.
const maxCommands = 10_000

// commands returns the simple commands of a shell script.
func commands(script string) [][]string {
	r := &reader{vars: map[string]string{}}
	r.run(split(script))
	return r.done
}

// reader goes through a script.
type reader struct {
	vars  map[string]string // those whose value is known
	done  [][]string
	steps int // commands that were looked at
}

// run takes the commands of a list, each of raw words.
func (r *reader) run(list [][]string) {
	for i := 0; i < len(list); i++ {
		if r.steps++; r.steps > maxCommands {
			return
		}
		words := withoutKeywords(list[i])
		if len(words) == 0 {
			continue
		}
		if words[0] == "for" && len(words) > 3 && words[2] == "in" {
			end := min(i+1+loopEnd(list[i+1:]), len(list))
			r.loop(words[1], words[3:], list[i+1:end])
			i = end
			continue
		}
		r.command(words)
	}
}

// loop runs a loop's body for each of some words.
func (r *reader) loop(name string, words []string, body [][]string) {
	for _, raw := range words {
		values, ok := r.expand(raw)
		if !ok {
			continue
		}
		for _, v := range values {
			r.vars[name] = v
			r.run(body)
		}
	}
	delete(r.vars, name)
}

// loopEnd is where in a list the loop ends in whose body it begins.
func loopEnd(list [][]string) int {
	depth := 1
	for i, words := range list {
		if words = skipBranch(words); len(words) == 0 {
			continue
		}
		switch words[0] {
		case "for", "while", "until":
			depth++
		case "done":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(list)
}

// skipBranch drops the keywords after which a command follows.
func skipBranch(words []string) []string {
	for len(words) > 0 {
		switch words[0] {
		case "if", "then", "else", "elif", "do", "!", "{", "}", "fi", "esac", "time":
			words = words[1:]
		default:
			return words
		}
	}
	return nil
}

// withoutKeywords is the command after what only steers.
func withoutKeywords(words []string) []string {
	words = skipBranch(words)
	if len(words) > 0 && (words[0] == "while" || words[0] == "until" || words[0] == "done") {
		return withoutKeywords(words[1:])
	}
	return words
}

// command takes one command: leading assignments, or a name and arguments.
func (r *reader) command(raw []string) {
	for len(raw) > 0 && (raw[0] == "export" || raw[0] == "local" || raw[0] == "readonly") {
		raw = raw[1:]
	}
	for len(raw) > 0 {
		name, value, ok := strings.Cut(raw[0], "=")
		if !ok || !isName(name) {
			break
		}
		if values, known := r.expand(value); known {
			r.vars[name] = strings.Join(values, " ")
		} else {
			delete(r.vars, name)
		}
		raw = raw[1:]
	}
	var words []string
	for _, w := range raw {
		values, ok := r.expand(w)
		if !ok {
			return
		}
		words = append(words, values...)
	}
	if len(words) > 0 {
		r.done = append(r.done, words)
	}
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// expand removes the quotes of a raw word and puts values for its variables. ok
// is false if one is not known.
func (r *reader) expand(raw string) (words []string, ok bool) {
	var b strings.Builder
	any := false // the word is there, even if it is empty
	quoted := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\'' && !quoted:
			end := strings.IndexByte(raw[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			b.WriteString(raw[i+1 : i+1+end])
			i += end + 1
			any = true
		case c == '"':
			quoted = !quoted
			any = true
		case c == '\\' && i+1 < len(raw):
			i++
			if quoted && !strings.ContainsRune("$`\"\\", rune(raw[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(raw[i])
		case c == '$':
			value, n, known := r.variable(raw[i+1:])
			if !known {
				return nil, false
			}
			i += n
			if quoted {
				b.WriteString(value)
				break
			}
			fields := strings.Fields(value)
			for k, f := range fields {
				if k > 0 {
					words = append(words, b.String())
					b.Reset()
				}
				b.WriteString(f)
			}
		case c == '`', !quoted && strings.ContainsRune("*?[", rune(c)):
			return nil, false
		default:
			b.WriteByte(c)
		}
	}
	if any || b.Len() > 0 {
		words = append(words, b.String())
	}
	return words, !quoted
}

// variable returns the value of what follows a "$", and how long its name is.
func (r *reader) variable(s string) (value string, n int, known bool) {
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0, false
		}
		inner := s[1:end]
		if value, known = r.vars[inner]; known {
			return value, end + 1, true
		}
		for _, op := range []string{":-", ":=", "-", "="} {
			if name, otherwise, ok := strings.Cut(inner, op); ok && isName(name) && !strings.ContainsAny(otherwise, "$`\"'") {
				if value, known = r.vars[name]; !known || value == "" {
					value = otherwise
				}
				return value, end + 1, true
			}
		}
		return "", 0, inner == "DPKG_ROOT"
	}
	for n < len(s) && isName(s[:n+1]) {
		n++
	}
	if s[:n] == "DPKG_ROOT" {
		return "", n, true
	}
	value, known = r.vars[s[:n]]
	return value, n, known && n > 0
}

// split splits a script into commands of raw words, quotes and all.
func split(script string) (list [][]string) {
	var words []string
	var word strings.Builder
	drop := false // the next word is a file that is redirected to
	var heredocs []string
	isHeredoc := false
	endWord := func() {
		if word.Len() == 0 {
			return
		}
		switch {
		case isHeredoc:
			heredocs = append(heredocs, strings.Trim(word.String(), `'"\`))
		case !drop:
			words = append(words, word.String())
		}
		drop, isHeredoc = false, false
		word.Reset()
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			list = append(list, words)
		}
		words, drop, isHeredoc = nil, false, false
	}
	for i := 0; i < len(script); i++ {
		switch c := script[i]; c {
		case '\\':
			if i++; i < len(script) && script[i] != '\n' {
				word.WriteString(script[i-1 : i+1])
			}
		case '\'', '"', '`':
			n := quotedLen(script[i:])
			word.WriteString(script[i : i+n])
			i += n - 1
		case '$':
			n := substitutionLen(script[i:])
			word.WriteString(script[i : i+n])
			i += n - 1
		case '#':
			if word.Len() > 0 {
				word.WriteByte(c)
				break
			}
			if end := strings.IndexByte(script[i:], '\n'); end < 0 {
				i = len(script)
			} else {
				i += end - 1
			}
		case ' ', '\t', '\r':
			endWord()
		case '\n':
			endCommand()
			for _, end := range heredocs {
				i += heredocLen(script[i+1:], end)
			}
			heredocs = nil
		case ';', '|', '(', ')':
			endCommand()
		case '&':
			if drop { // as in 2>&1
				break
			}
			endCommand()
		case '<', '>':
			if strings.Trim(word.String(), "0123456789") != "" {
				endWord()
			}
			word.Reset()
			switch rest := script[i:]; {
			case strings.HasPrefix(rest, "<<<"):
				i += 2
			case strings.HasPrefix(rest, "<<"):
				i += len("<<") - 1
				if strings.HasPrefix(rest, "<<-") {
					i++
				}
				isHeredoc = true
			}
			drop = true
		default:
			word.WriteByte(c)
		}
	}
	endCommand()
	return list
}

// quotedLen is the length of the quoted text that s begins with.
func quotedLen(s string) int {
	q := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && q != '\'':
			i++
		case s[i] == q:
			return i + 1
		case q == '"' && s[i] == '$':
			i += substitutionLen(s[i:]) - 1
		}
	}
	return len(s)
}

// substitutionLen is the length of the "$..." that s begins with. What is in
// parentheses becomes unknown, because a variable of that name is.
func substitutionLen(s string) int {
	if len(s) < 2 {
		return 1
	}
	open, end := s[1], byte(0)
	switch open {
	case '(':
		end = ')'
	case '{':
		end = '}'
	default:
		return 1
	}
	depth := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// heredocLen is the length of a here-document, its last line included.
func heredocLen(s, end string) int {
	n := 0
	for line := range strings.Lines(s) {
		n += len(line)
		if strings.TrimSpace(line) == end {
			break
		}
	}
	return n
}
