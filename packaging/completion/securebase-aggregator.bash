# Completion of securebase-aggregator for bash.
_securebase_aggregator()
{
    local cur=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} = -c || ${COMP_WORDS[COMP_CWORD - 1]} = --config ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "-c --config --check-config --online --print-config --print-example --version --help verify-store" -- "$cur")
}
complete -F _securebase_aggregator securebase-aggregator
