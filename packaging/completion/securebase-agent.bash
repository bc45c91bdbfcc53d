# Completion of securebase-agent for bash.
_securebase_agent()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
    -c | --config | --root)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --test) return ;;
    guard)
        mapfile -t COMPREPLY < <(compgen -W "list status check" -- "$cur")
        return
        ;;
    check)
        mapfile -t COMPREPLY < <(compgen -W "$(securebase-agent guard list 2> /dev/null | cut -f 1)" -- "$cur")
        return
        ;;
    spool)
        mapfile -t COMPREPLY < <(compgen -W "stat verify dead drop" -- "$cur")
        return
        ;;
    --format)
        mapfile -t COMPREPLY < <(compgen -W "prom json table" -- "$cur")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "-c --config --check-config --print-config --print-example --once --format --test --list --root --json --version --help status spool guard" -- "$cur")
}
complete -F _securebase_agent securebase-agent
