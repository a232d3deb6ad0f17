defmodule Graphport.MixProject do
  @moduledoc false
  use Mix.Project

  def project do
    [
      app: :graphport,
      version: "0.1.0",
      elixir: "~> 1.14",
      description: "Runs Python and LLM workflow graphs for Elixir apps, as an Erlang port.",
      start_permanent: Mix.env() == :prod,
      elixirc_paths: elixirc_paths(Mix.env()),
      # Read by Elixir 1.14; later versions read cli/0.
      preferred_cli_env: [check: :test],
      aliases: aliases(),
      deps: [],
      package: [licenses: ["MIT"]]
    ]
  end

  def cli, do: [preferred_envs: [check: :test]]

  # :crypto and :inets are not needed; :proper is used by the tests when the machine has it.
  def application, do: [extra_applications: [:logger]]

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_env), do: ["lib"]

  defp aliases do
    [
      check: [
        "format --check-formatted",
        "compile --force --warnings-as-errors",
        "xref graph --format cycles --fail-above 0",
        "test --warnings-as-errors"
      ]
    ]
  end
end
