defmodule GraphportTest do
  use ExUnit.Case, async: true

  doctest Graphport
  doctest Graphport.Error
  doctest Graphport.Options

  @hidden_may_be_public [
    Graphport,
    Graphport.Error,
    Graphport.Session,
    Graphport.Builder,
    Graphport.Demand,
    Graphport.Node,
    Graphport.Node.Context,
    Graphport.Edit,
    Graphport.Options,
    Graphport.Questions,
    Graphport.Telemetry
  ]

  test "only the facade, its values and its options are documented" do
    {:ok, modules} = :application.get_key(:graphport, :modules)

    documented =
      for module <- modules,
          not String.contains?(inspect(module), ["Vectors", "Case", "String.Chars", "Limits"]),
          {:docs_v1, _, _, _, doc, _, _} <- [Code.fetch_docs(module)],
          is_map(doc),
          do: module

    assert Enum.sort(documented) == Enum.sort(@hidden_may_be_public)
  end

  test "the documentation of each function names its options" do
    {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(Graphport)

    for {function, options} <- [
          demand: ~w(inputs timeout fresh),
          demand_async: ~w(inputs to tag events stream),
          stream: ~w(inputs window elements events),
          nodes: ~w(type timeout),
          open: ~w(owner name timeout),
          start_link: ~w(python nodes)
        ] do
      [text] = for {{:function, ^function, _arity}, _, _, %{"en" => text}, _} <- docs, do: text
      for option <- options, do: assert(text =~ "`:#{option}`")
    end
  end
end
