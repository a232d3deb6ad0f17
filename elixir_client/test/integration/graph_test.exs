defmodule Graphport.Integration.GraphTest do
  # A graph that was built here is opened, asked for and drawn, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.{Builder, Error}

  setup %{name: name} do
    start_engine(name)

    graph =
      Builder.new()
      |> Builder.node("prompt", "text-input", text: "say \"hi\"")
      |> Builder.node("answer", "text-output")
      |> Builder.edge({"prompt", "text"}, {"answer", "text"})
      |> Builder.setting("depth", 3)
      |> Builder.to_graph()

    {:ok, graph: graph, session: Graphport.open!(name, graph)}
  end

  test "what was opened comes back, and can be opened again", %{name: name, graph: graph, session: session} do
    assert Graphport.graph(session) == {:ok, graph}

    assert {:ok, %{"tasks" => [_, _], "dataflows" => [_]} = tasks} =
             Graphport.graph(session, format: "workglow-json")

    again = Graphport.open!(name, tasks)
    assert {:ok, %{"text" => "say \"hi\""}} = Graphport.demand(again, "answer")
    assert Graphport.graph(again) == {:ok, graph}
  end

  test "its drawings show what became of each node of a run", %{session: session} do
    {:ok, _demand} = Graphport.demand_async(session, "answer", events: true)
    assert_receive {:demand_complete, "answer", _outputs}, 5_000
    events = for {:node_event, node, event} <- mailbox(), do: {node, event}

    assert {:ok, "flowchart LR\n" <> _ = mermaid} = Graphport.mermaid(session, events: events)
    assert mermaid =~ "class n0,n1 completed"
    assert {:ok, "digraph graphport {\n" <> _ = dot} = Graphport.dot(session, events: events)
    assert dot =~ ~s(n0 -> n1 [label="text"])
    assert {:ok, plain} = Graphport.mermaid(session)
    refute plain =~ "completed"
  end

  test "a large graph comes in parts, and an engine that was killed has it again", %{name: name} do
    builder = Builder.node(Builder.new(), "0", "text-output")

    graph =
      1..5_000
      |> Enum.reduce(builder, fn number, builder ->
        builder
        |> Builder.node("#{number}", "text-output")
        |> Builder.edge({"#{number - 1}", "text"}, {"#{number}", "text"})
      end)
      |> Builder.to_graph()

    session = Graphport.open!(name, graph)
    assert Graphport.graph(session) == {:ok, graph}

    System.cmd("kill", ["-9", "#{os_pid(name)}"])
    assert eventually_answered(session) == {:ok, graph}
  end

  # The question may have been on its way when the engine was killed.
  defp eventually_answered(session) do
    case Graphport.graph(session) do
      {:error, %Error{code: :engine_down}} -> eventually_answered(session)
      answer -> answer
    end
  end
end
