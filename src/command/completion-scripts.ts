/** The shells that completion is made for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/**
 * The completion script of a shell, for a program of this name. The script asks `PROGRAM __complete -- WORDS…`, whose
 * first line says whether paths are wanted (`:file`, `:folder`, `:none`) and whose others are `VALUE<tab>DESCRIPTION`.
 */
export function completionScript(shell: Shell, program: string): string {
  const name = program.replaceAll(/[^A-Za-z0-9_]/g, '_')
  return scripts[shell].replaceAll('@NAME@', name).replaceAll('@PROGRAM@', program)
}

/** How to load it, for the help. */
export function installHint(shell: Shell, program: string): string {
  switch (shell) {
    case 'bash':
      return `In ~/.bashrc:  source <(${program} completion bash)`
    case 'zsh':
      return `In ~/.zshrc, after compinit:  source <(${program} completion zsh)`
    case 'fish':
      return `Once:  ${program} completion fish > ~/.config/fish/completions/${program}.fish`
  }
}

/*
 * bash splits words at `=` and `:` and replaces only the part after them: the words are put together again from the
 * line, and what bash already has is cut off the candidates.
 */
const bash = `# bash completion for @PROGRAM@
_@NAME@_complete() {
  local program=\${COMP_WORDS[0]/#\\~/$HOME} rest=\${COMP_LINE:0:COMP_POINT} words=() word part index glued
  for ((index = 0; index <= COMP_CWORD; index++)); do
    part=\${COMP_WORDS[index]}
    glued=\${rest%%[![:space:]]*}
    rest=\${rest#"$glued"}
    ((index == COMP_CWORD)) && part=$rest
    rest=\${rest#"$part"}
    word=\${part//[\\\\\\"\\']/}
    if ((index > 0)) && [[ -z $glued ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
  done
  [[ $part == [=:] ]] && part=
  local full=\${words[\${#words[@]} - 1]} directive= value
  local before=\${full%"$part"}
  COMPREPLY=()
  while IFS=$'\\t' read -r value _; do
    if [[ -z $directive ]]; then directive=$value; else COMPREPLY+=("\${value#"$before"}"); fi
  done < <("$program" __complete -- "\${words[@]:1}" 2>/dev/null </dev/null)
  case $directive in
    :file) ;;
    :folder) compopt +o default -o dirnames 2>/dev/null ;;
    *) compopt +o default 2>/dev/null ;;
  esac
}
complete -o default -F _@NAME@_complete @PROGRAM@
`

const zsh = `#compdef @PROGRAM@
# zsh completion for @PROGRAM@
_@NAME@() {
  local program=\${~words[1]} line value description directive
  local -a lines candidates
  lines=("\${(@f)$("$program" __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  directive=$lines[1]
  for line in "\${(@)lines[2,-1]}"; do
    value=\${line%%$'\\t'*} description=\${line#*$'\\t'}
    candidates+=("\${value//:/\\\\:}\${description:+:$description}")
  done
  (( $#candidates )) && _describe -t values '@PROGRAM@' candidates
  case $directive in
    (:file) _files ;;
    (:folder) _files -/ ;;
  esac
}
if [[ $funcstack[1] == _@NAME@ ]]; then _@NAME@ "$@"; else compdef _@NAME@ @PROGRAM@; fi
`

const fish = `# fish completion for @PROGRAM@
function __@NAME@_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null </dev/null)
    switch "$lines[1]"
        case :file
            __fish_complete_path "$current"
        case :folder
            __fish_complete_directories "$current"
    end
    for line in $lines[2..-1]
        echo $line
    end
end
complete -c @PROGRAM@ -f -a '(__@NAME@_complete)'
`

const scripts: Record<Shell, string> = { bash, zsh, fish }
