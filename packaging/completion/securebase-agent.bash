# Completion of securebase-agent for bash.
_securebase_agent()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
    -c | --root)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --test) return ;;
    spool)
        mapfile -t COMPREPLY < <(compgen -W "stat verify drop" -- "$cur")
        return
        ;;
    =) [ "${COMP_WORDS[COMP_CWORD - 2]}" = --once ] && prev='--once=' ;;
    esac
    if [ "$prev" = '--once=' ] || { [ "$prev" = --once ] && [ "$cur" = = ]; }; then
        mapfile -t COMPREPLY < <(compgen -W "prom json table" -- "${cur#=}")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "-c --check-config --print-config --once --test --list --root --json --version --help status spool" -- "$cur")
}
complete -F _securebase_agent securebase-agent
